"""Compares the network of examples/polynext.py with golden logits: python3 polynext_golden.py NAME ..."""

import json
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'examples'))

import torch
from polynext import PolyNeXt


def safetensors(path):
    content = path.read_bytes()
    (length,) = struct.unpack('<Q', content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop('__metadata__', None)
    tensors = {}
    for name, entry in header.items():
        start, end = entry['data_offsets']
        data = bytearray(content[8 + length + start : 8 + length + end])
        tensors[name] = torch.frombuffer(data, dtype=torch.float32).reshape(entry['shape'])
    return tensors


def compare(name):
    folder = ROOT / 'test' / 'golden'
    network = PolyNeXt(json.loads((folder / f'{name}.json').read_text())).eval()
    weights = torch.load(folder / f'{name}.pt', weights_only=True)
    weights = weights.get('state_dict', weights)
    weights = {key.removeprefix('module.'): value for key, value in weights.items()}
    unused = [key for key in weights if key.endswith('num_batches_tracked') or key == 'head.2.p']
    for key in unused:
        del weights[key]
    network.load_state_dict(weights, strict=True)
    golden = safetensors(folder / f'{name}.golden.safetensors')
    with torch.no_grad():
        difference = (network(golden['input']) - golden['logits']).abs().max().item()
    return {'difference': difference, 'largest': golden['logits'].abs().max().item()}


print(json.dumps({name: compare(name) for name in sys.argv[1:]}))
