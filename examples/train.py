import json
import sys

try:
    config = json.load(open('network.json'))
except FileNotFoundError:
    sys.exit('There is no network.json here: run this program in the folder that has it')
try:
    import torch
except ModuleNotFoundError:
    sys.exit('There is no PyTorch: `apt-get install python3-torch` or `pip install torch` installs it')
from polynext import PolyNeXt, fit, write_golden
from shapes import shapes, write_png

torch.manual_seed(1)
network = fit(PolyNeXt(config), lambda: shapes(32, config)[:2], steps=200)
images, labels, pictures = shapes(200, config)
print('right:', (network(images).argmax(1) == labels).sum().item(), 'of 200')
torch.save(network.state_dict(), 'network.pt')
write_golden('golden.safetensors', network, images[:4])
write_png('photo.png', pictures[0])
print('photo.png:', config['labels'][labels[0]])
