"""
Makes pictures of every kind, and records the results of PIL and torch. Preprocessing is compared with these results.

    python3 make.py make     writes the pictures and expected.json
    python3 make.py expect   prints the results for the existing pictures as JSON

The script needs PIL and numpy. Bilinear resizes also need torch, and are left out if it is missing. The files here were made
with PIL 9.4.0, numpy 1.24.2, torch 1.13.0 and torchvision 0.14.1 (Debian 12: python3-pil, python3-numpy,
python3-torch, python3-torchvision).
"""
import base64
import io
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

try:
    import torch
    from torchvision import transforms
except ImportError:
    torch = None

HERE = Path(__file__).parent


# Pictures


def scene(width, height, channels, seed):
    """Ramps, hard edges and noise: resizing overshoots at the edges and has to clip."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    ramp = 255 * (x + y) / max(1, width + height - 2)
    edges = 255 * ((x // 5 + y // 4) % 2)
    noise = rng.randint(0, 256, (height, width, channels))
    kind = ((x // 8 + y // 8) % 3)[..., None]
    picture = np.where(kind == 0, ramp[..., None], np.where(kind == 1, edges[..., None], noise))
    shift = np.arange(channels) * 40
    return ((picture + shift) % 256).astype(np.uint8)


def deep(width, height, channels, seed):
    """16 bits; the low byte is not the high one, so that rounding and cutting differ."""
    low = np.random.RandomState(seed + 1).randint(0, 256, (height, width, channels))
    return (scene(width, height, channels, seed).astype(np.uint16) << 8) | low.astype(np.uint16)


def png16(samples, icc=None):
    """PIL writes no 16-bit colours."""
    height, width, channels = samples.shape

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in samples)
    return (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 16, colour, 0, 0, 0))
        + (chunk(b'iCCP', b'profile\0\0' + zlib.compress(icc)) if icc else b'')
        + chunk(b'IDAT', zlib.compress(rows, 9))
        + chunk(b'IEND', b'')
    )


def wide_gamut_profile():
    """A matrix profile with the primaries of Adobe RGB (1998), adapted to D50, and gamma 2.2."""

    def fixed(value):
        return struct.pack('>i', round(value * 65536))

    def xyz(*values):
        return b'XYZ \0\0\0\0' + b''.join(map(fixed, values))

    name = b'Wide\0'
    curve = b'curv\0\0\0\0' + struct.pack('>IH', 1, round(2.2 * 256)) + b'\0\0'
    tags = {
        b'desc': b'desc\0\0\0\0' + struct.pack('>I', len(name)) + name + bytes(78 + 1),
        b'cprt': b'text\0\0\0\0CC0\0',
        b'wtpt': xyz(0.9642, 1, 0.8249),
        b'rXYZ': xyz(0.60974, 0.31111, 0.01947),
        b'gXYZ': xyz(0.20528, 0.62567, 0.06087),
        b'bXYZ': xyz(0.14919, 0.06322, 0.74457),
        b'rTRC': curve,
        b'gTRC': curve,
        b'bTRC': curve,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack('>I', len(tags)), b''
    for tag, data in tags.items():
        table += tag + struct.pack('>II', offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = (
        struct.pack('>I4sI4s4s4s', offset + len(body), b'\0\0\0\0', 0x02100000, b'mntr', b'RGB ', b'XYZ ')
        + struct.pack('>6H', 2020, 1, 1, 0, 0, 0)
        + b'acsp'
        + bytes(28)
        + fixed(0.9642)
        + fixed(1)
        + fixed(0.8249)
    )
    return header.ljust(128, b'\0') + table + body


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def rgb(width, height, seed):
    return Image.fromarray(scene(width, height, 3, seed))


def pictures():
    wide = wide_gamut_profile()
    yield 'l.png', encoded(Image.fromarray(scene(23, 17, 1, 1)[..., 0]), 'PNG')
    yield 'la.png', encoded(Image.fromarray(scene(16, 21, 2, 2), 'LA'), 'PNG')
    yield 'p.png', encoded(rgb(40, 25, 3).quantize(13), 'PNG')
    yield 'p-transparent.png', encoded(rgb(19, 33, 4).quantize(16), 'PNG', transparency=bytes(range(0, 256, 16)))
    yield '1.png', encoded(Image.fromarray(scene(21, 14, 1, 5)[..., 0]).convert('1'), 'PNG')
    yield 'rgb.png', encoded(rgb(61, 43, 6), 'PNG')
    yield 'rgba.png', encoded(Image.fromarray(scene(31, 47, 4, 7)), 'PNG')
    yield 'l16.png', png16(deep(18, 13, 1, 8))
    yield 'la16.png', png16(deep(9, 12, 2, 9))
    yield 'rgb16.png', png16(deep(26, 15, 3, 10))
    yield 'rgba16.png', png16(deep(14, 11, 4, 11))
    yield 'tall.png', encoded(rgb(3, 90, 12), 'PNG')
    yield 'wide.png', encoded(rgb(97, 5, 13), 'PNG')
    yield 'pixel.png', encoded(rgb(1, 1, 14), 'PNG')
    yield 'rgb.webp', encoded(rgb(30, 20, 15), 'WEBP', lossless=True)
    yield 'rgba.webp', encoded(Image.fromarray(scene(17, 24, 4, 16)), 'WEBP', lossless=True, exact=True)
    frames = [rgb(22, 18, seed).quantize(32) for seed in (17, 18)]
    yield 'animated.gif', encoded(frames[0], 'GIF', save_all=True, append_images=frames[1:])
    frames = [rgb(16, 16, seed) for seed in (19, 20)]
    yield 'animated.webp', encoded(frames[0], 'WEBP', save_all=True, append_images=frames[1:], lossless=True)
    yield 'rgb.tiff', encoded(rgb(13, 17, 21), 'TIFF', compression='tiff_lzw')
    yield 'l16.tiff', encoded(Image.fromarray(deep(12, 10, 1, 22)[..., 0]), 'TIFF')
    yield 'pages.tiff', encoded(rgb(9, 8, 23), 'TIFF', save_all=True, append_images=[rgb(9, 8, 24)])
    yield 'cmyk.tiff', encoded(Image.fromarray(scene(14, 9, 4, 25), 'CMYK'), 'TIFF')
    yield 'l.jpg', encoded(Image.fromarray(scene(27, 22, 1, 26)[..., 0]), 'JPEG', quality=90)
    yield '444.jpg', encoded(rgb(33, 21, 27), 'JPEG', quality=92, subsampling=0)
    yield '420.jpg', encoded(rgb(35, 27, 28), 'JPEG', quality=85, subsampling=2)
    yield '420-progressive.jpg', encoded(rgb(41, 19, 29), 'JPEG', quality=85, subsampling=2, progressive=True)
    yield 'cmyk.jpg', encoded(rgb(20, 15, 30).convert('CMYK'), 'JPEG', quality=92)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f'exif-{orientation}.jpg', encoded(
            rgb(29, 18, 31), 'JPEG', quality=92, subsampling=0, exif=exif.tobytes()
        )
    keyed = rgb(20, 16, 34)
    yield 'rgb-transparent.png', encoded(keyed, 'PNG', transparency=keyed.getpixel((3, 3)))
    keyed = keyed.convert('L')
    yield 'l-transparent.png', encoded(keyed, 'PNG', transparency=keyed.getpixel((3, 3)))
    yield 'wide-gamut.png', encoded(rgb(24, 16, 32), 'PNG', icc_profile=wide)
    yield 'wide-gamut16.png', png16(deep(15, 10, 3, 33), wide)


# PIL's results. docs/preprocessing.md says where and why they differ from PIL's defaults.


def decoded(path):
    picture = Image.open(path)
    profile = picture.info.get('icc_profile')
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ('I', 'I;16', 'I;16B'):
        # PIL's own convert() clips 16 bits at 255.
        return Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8)).convert('RGB')
    if picture.mode in ('LA', 'RGBA', 'PA') or 'transparency' in picture.info:
        # PIL's own convert() drops alpha, and shows the colour of transparent pixels.
        over = picture.convert('RGBA')
        white = Image.new('RGB', picture.size, 'white')
        white.paste(over, mask=over.getchannel('A'))
        return white
    picture = picture.convert('RGB')
    if profile:
        # PIL's own convert() ignores profiles.
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        picture = ImageCms.profileToProfile(picture, source, ImageCms.createProfile('sRGB'))
    return picture


def squash(height, width):
    return {'mode': 'squash', 'height': height, 'width': width}


def short_side(size, height, width):
    return {'mode': 'shortSide', 'size': size, 'height': height, 'width': width}


# Channels, interpolation, resize: the last ones enlarge most pictures, in one direction or both.
SPECS = [
    ('rgb', 'bicubic', squash(9, 11)),
    ('rgb', 'bicubic', short_side(12, 11, 8)),
    ('grey', 'bicubic', squash(30, 37)),
    ('grey', 'bicubic', short_side(31, 24, 24)),
    ('grey', 'bilinear', squash(10, 8)),
    ('rgb', 'bilinear', short_side(19, 10, 9)),
]


def short_side_size(width, height, size):
    """torchvision's Resize(size)"""
    return (size, int(size * height / width)) if width <= height else (int(size * width / height), size)


def crop_box(width, height, spec):
    """torchvision's CenterCrop"""
    top = int(round((height - spec['height']) / 2.0))
    left = int(round((width - spec['width']) / 2.0))
    return left, top, left + spec['width'], top + spec['height']


def bicubic(picture, spec):
    if spec['mode'] == 'squash':
        return np.asarray(picture.resize((spec['width'], spec['height']), Image.BICUBIC))
    size = short_side_size(*picture.size, spec['size'])
    found = picture.resize(size, Image.BICUBIC).crop(crop_box(*size, spec))
    if torch:
        steps = [
            transforms.Resize(spec['size'], transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop((spec['height'], spec['width'])),
        ]
        assert np.array_equal(np.asarray(transforms.Compose(steps)(picture)), np.asarray(found))
    return np.asarray(found)


def bilinear(picture, spec):
    planes = torch.from_numpy(np.asarray(picture).astype(np.float32))
    planes = planes.permute(2, 0, 1) if planes.ndim == 3 else planes[None]
    width, height = picture.size
    squashed = spec['mode'] == 'squash'
    size = (spec['width'], spec['height']) if squashed else short_side_size(width, height, spec['size'])
    found = torch.nn.functional.interpolate(planes[None], size[::-1], mode='bilinear', align_corners=False)[0]
    if not squashed:
        found = transforms.CenterCrop((spec['height'], spec['width']))(found)
    return found.numpy()


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def resized(picture, channels, interpolation, spec):
    """Channels first: bytes of a bicubic resize, float32 of a bilinear one."""
    source = picture.convert('L') if channels == 'grey' else picture
    if interpolation == 'bilinear':
        return text(bilinear(source, spec).astype('<f4')) if torch else None
    found = bicubic(source, spec)
    return text(found.transpose(2, 0, 1) if found.ndim == 3 else found)


def expectation(path):
    picture = decoded(path)
    return {
        'width': picture.width,
        'height': picture.height,
        'pixels': text(np.asarray(picture)),
        'resized': [resized(picture, *spec) for spec in SPECS],
    }


def expectations(names):
    specs = [{'channels': c, 'interpolation': i, 'resize': r} for c, i, r in SPECS]
    return {'specs': specs, 'pictures': {name: expectation(HERE / name) for name in names}}


def main():
    if sys.argv[1:] == ['make']:
        names = []
        for name, content in pictures():
            (HERE / name).write_bytes(content)
            names.append(name)
        (HERE / 'expected.json').write_text(json.dumps(expectations(names), indent=2) + '\n')
    elif sys.argv[1:] == ['expect']:
        names = json.loads((HERE / 'expected.json').read_text())['pictures']
        print(json.dumps(expectations(names)))
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main()
