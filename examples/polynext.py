"""CPolyNeXt networks in PyTorch, with the state-dict names that PolyVeil reads (docs/models.md).

Tensors are [images, channels, height, width]. No convolution has a bias.
"""

import json
import struct

import torch
from torch import nn
from torch.nn import functional as F


class PolyBatchNorm(nn.Module):
    """Poly-BN: statistics belong to positions and are shared by all channels."""

    def __init__(self, channels, height, width, momentum=0.1):
        super().__init__()
        self.gamma_c = nn.Parameter(torch.ones(channels))
        self.gamma_hw = nn.Parameter(torch.ones(1, 1, height, width))
        self.register_buffer('running_mean', torch.zeros(1, 1, height, width))
        self.register_buffer('running_var', torch.ones(1, 1, height, width))
        self.momentum = momentum
        self.frozen = False

    def forward(self, x):
        mean, var = self.running_mean, self.running_var
        if self.training and not self.frozen:
            mean = x.mean((0, 1), keepdim=True)
            var = x.var((0, 1), keepdim=True, unbiased=False)
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(var.detach(), self.momentum)
        normalised = (x - mean) * torch.rsqrt(var + 1e-5)
        return normalised * self.gamma_hw * self.gamma_c.view(1, -1, 1, 1)


class ScalePerChannel(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x):
        return x * self.scale


def conv(inputs, outputs, kernel=1, **options):
    layer = nn.Conv2d(inputs, outputs, kernel, bias=False, **options)
    nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
    return layer


def depthwise(channels, kernel=3, **options):
    return conv(channels, channels, kernel, groups=channels, **options)


def poly_conv(channels, inner, stage, size):
    """Four entries of `ops`: pointwise in, coarse, fine, and the sequence behind the product."""
    coarse = {'kernel': 3, 'padding': 2} if stage == 0 else {'kernel': 5, 'padding': 4}
    return [
        conv(channels, inner),
        depthwise(inner, dilation=2, **coarse),
        depthwise(inner, padding=1),
        nn.Sequential(depthwise(inner, padding=1), conv(inner, channels), PolyBatchNorm(channels, *size)),
    ]


def poly_mlp(channels, inner, size):
    """Two entries of `ops`: pointwise in, and the sequence behind the product."""
    return [
        conv(channels, inner),
        nn.Sequential(PolyBatchNorm(inner // 2, *size), conv(inner // 2, channels)),
    ]


class Cell(nn.Module):
    """p = BN(preprocess0(s0) + preprocess1(s1)), then stacks of PolyConv and PolyMLP with residuals."""

    def __init__(self, config, channels, nodes, stage, size):
        super().__init__()
        self.preprocess0 = ScalePerChannel(channels)
        self.preprocess1 = ScalePerChannel(channels)
        self.postprocess = PolyBatchNorm(channels, *size)
        self.stacks = nodes // 2
        self.paired = config.get('paired_scale', False)
        scales = torch.tensor(config['sigmoid_scale'], dtype=torch.float32)
        self.skip_weight = nn.Parameter(scales.logit() if self.paired else scales)
        conv_width = int(channels * config['expansion_conv'][stage])
        mlp_width = int(channels * config['expansion_mlp'][stage])
        self.ops = nn.ModuleList()
        for _ in range(self.stacks):
            self.ops.extend(poly_conv(channels, conv_width, stage, size))
            self.ops.extend(poly_mlp(channels, mlp_width, size))

    def forward(self, s0, s1):
        p = self.postprocess(self.preprocess0(s0) + self.preprocess1(s1))
        ratios = torch.sigmoid(self.skip_weight)
        for j in range(self.stacks):
            first, coarse, fine, conv_rest, widen, mlp_rest = self.ops[6 * j : 6 * j + 6]
            conv_ratio, mlp_ratio = (j, j + 1) if self.paired else (2 * j, 2 * j + 1)
            b = first(p)
            p = p + ratios[conv_ratio] * conv_rest(coarse(b) * fine(b).flip(1))
            high, low = widen(p).chunk(2, 1)
            p = p + ratios[mlp_ratio] * mlp_rest(high * low)
        return p


def reduction(kind, inputs, outputs):
    """Halves the map. `sep` is depthwise then pointwise, `full` one dense convolution."""
    kernel = {'kernel': 3, 'stride': 2, 'padding': 1} if kind.endswith('3x3') else {'kernel': 2, 'stride': 2}
    if kind.startswith('full'):
        return conv(inputs, outputs, **kernel)
    return nn.Sequential(depthwise(inputs, **kernel), conv(inputs, outputs))


class PolyNeXt(nn.Module):
    """The network of a network.json, which is given as a dictionary."""

    def __init__(self, config):
        super().__init__()
        cells, channels = config['config'], config['init_channels']
        side = config['input_size']
        size = (side, side) if isinstance(side, int) else tuple(side)
        if config['network'] == 'NetworkPoly':
            self.stem = conv(3, channels, 3, padding=1)
        else:
            self.stem = conv(3, channels, 7, stride=4, padding=3)
            size = tuple((n - 1) // 4 + 1 for n in size)
        self.downsizes = cells['downsizes']
        self.cells, self.reductions = nn.ModuleList(), nn.ModuleList()
        stage = 0
        for i, nodes in enumerate(cells['nodes']):
            if i in self.downsizes:
                before, channels = channels, int(cells['channels'][str(i)] * config['init_channels'])
                for kind in cells['downsize_type']:
                    self.reductions.append(reduction(kind, before, channels))
                three = cells['downsize_type'][0].endswith('3x3')
                size = tuple((n + 1) // 2 if three else n // 2 for n in size)
                stage += 1
            self.cells.append(Cell(cells, channels, nodes, stage, size))
        self.norm = PolyBatchNorm(channels, *size)
        self.proj = conv(channels, 4 * channels)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Identity(),
            nn.Linear(2 * channels, config['num_classes']),
        )

    def forward(self, image):
        s0 = s1 = self.stem(image)
        reductions = iter(self.reductions)
        for i, cell in enumerate(self.cells):
            if i in self.downsizes:
                s0, s1 = next(reductions)(s0), next(reductions)(s1)
            s0, s1 = s1, cell(s0, s1)
        left, right = self.proj(self.norm(s1)).chunk(2, 1)
        return self.head(left + left * right)


PEAK = 12.0


def fit(network, batch, steps, rate=4e-3, frozen_part=0.25):
    """Trains on `batch()`, (images, labels), for a number of steps.

    The last part of the steps keeps the poly-BN statistics and penalises values above PEAK.
    """
    norms = [module for module in network.modules() if isinstance(module, PolyBatchNorm)]
    peaks = []
    hooks = [norm.register_forward_hook(lambda _, __, y: peaks.append(excess(y))) for norm in norms]
    hooks += [cell.register_forward_hook(lambda _, __, y: peaks.append(excess(y))) for cell in network.cells]
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    network.train()
    for step in range(steps):
        images, labels = batch()
        for norm in norms:
            norm.frozen = step >= (1 - frozen_part) * steps
        peaks.clear()
        loss = F.cross_entropy(network(images), labels, label_smoothing=0.05)
        if norms[0].frozen:
            loss = loss + sum(peaks)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    for hook in hooks:
        hook.remove()
    return network.eval()


def excess(tensor):
    """Mean square by which values are above PEAK in magnitude; 0 for a network that stays in range."""
    return F.relu(tensor.abs() - PEAK).square().mean()


def write_golden(path, network, images):
    """Writes preprocessed images and the network's logits as safetensors, which `--golden` reads."""
    with torch.no_grad():
        tensors = {'input': images, 'logits': network.eval()(images)}
    header, content = {}, b''
    for name, tensor in tensors.items():
        data = tensor.detach().cpu().contiguous().flatten().tolist()
        packed = struct.pack(f'<{len(data)}f', *data)
        span = [len(content), len(content) + len(packed)]
        header[name] = {'dtype': 'F32', 'shape': list(tensor.shape), 'data_offsets': span}
        content += packed
    text = json.dumps(header).encode()
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + content)
