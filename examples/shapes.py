"""Pictures of three shapes, to train a small network on: light on dark, 64 x 64, one grey channel."""

import struct
import zlib

import torch
from torch.nn import functional as F

SIDE = 64
LABELS = ['disc', 'square', 'cross']


def shapes(count, config):
    """Network inputs, labels [count], and the pictures [count, 1, 64, 64] with values 0 to 255."""
    labels = torch.randint(len(LABELS), (count,))
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing='ij')
    radius = torch.randint(14, 22, (count, 1, 1))
    dy = (y - torch.randint(26, 38, (count, 1, 1))).abs()
    dx = (x - torch.randint(26, 38, (count, 1, 1))).abs()
    forms = [
        dx * dx + dy * dy <= radius * radius,
        torch.maximum(dx, dy) <= radius,
        (torch.minimum(dx, dy) <= radius // 4) & (torch.maximum(dx, dy) <= radius),
    ]
    shape = torch.stack(forms)[labels, torch.arange(count)]
    light = torch.randint(170, 256, (count, 1, 1))
    noise = torch.randint(0, 30, (count, SIDE, SIDE))
    pictures = torch.where(shape, light - noise, noise).unsqueeze(1)
    return prepare(pictures, config), labels, pictures


def prepare(pictures, config):
    """What the `preprocessing` of the config says, in PyTorch: [count, 3, height, width]."""
    how = config['preprocessing']
    small = F.interpolate(pictures / 255, size=how['resize'], mode='bilinear', align_corners=False)
    return ((small - how['mean'][0]) / how['std'][0]).repeat(1, 3, 1, 1)


def write_png(path, picture):
    """Writes one picture [1, 64, 64] as a grey PNG."""

    def chunk(kind, content):
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))

    rows = b''.join(b'\0' + bytes(row) for row in picture[0].tolist())
    head = struct.pack('>IIBBBBB', SIDE, SIDE, 8, 0, 0, 0, 0)
    with open(path, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head))
        file.write(chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))
