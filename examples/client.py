"""A client of the HTTP API in Python, with its standard library alone: HTTP by urllib, encryption by the offline steps of
the command line. It keeps its keys, and the id of the key set on the server, in a folder, and uploads keys only when the
server does not have them. In a project with `npm install polyveil sharp`:

    python3 client.py photo.png [--url URL] [--model NAME] [--state FOLDER]

A token for the service belongs in the environment variable POLYVEIL_TOKEN.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PART_BYTES = 16 * 2**20
TRIES = 10
TIMEOUT_SECONDS = 300
BYTES = 'application/octet-stream'


class Refused(Exception):
    """An error of the service, as problem+json (RFC 9457) has it."""

    def __init__(self, problem):
        super().__init__(f"{problem['code']}: {problem['detail']}\n{problem['remedy']}")
        self.code = problem['code']


def polyveil(*arguments):
    """Runs a step of the command line, and returns its JSON document."""
    # Without --no, npx would install and run a package of that name where this project has none.
    command = ['npx', '--no', '--', 'polyveil', *map(str, arguments), '--json', '--quiet']
    ran = subprocess.run(command, stdout=subprocess.PIPE)
    if not ran.stdout:
        raise SystemExit('The command line of PolyVeil did not start: this project needs `npm install polyveil sharp`')
    document = json.loads(ran.stdout)
    if ran.returncode != 0:
        error = document['error']
        raise SystemExit(f"{error['code']}: {error['message']}\n{error['remedy']}")
    return document


class Service:
    """Requests to one service. A request that finds no room is sent again after the time that the service names."""

    def __init__(self, url):
        self.url = url.rstrip('/')

    def send(self, method, path, body=None, **headers):
        """Returns headers and bytes of the answer. Underscores in the names of headers stand for hyphens."""
        headers = {name.replace('_', '-'): value for name, value in headers.items()}
        if 'POLYVEIL_TOKEN' in os.environ:
            headers['Authorization'] = f"Bearer {os.environ['POLYVEIL_TOKEN']}"
        for left in reversed(range(TRIES)):
            request = urllib.request.Request(self.url + path, body, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                    return answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                wait = error.headers.get('Retry-After')
                if left == 0 or wait is None or error.code not in (429, 503):
                    raise problem_of(error) from error
                time.sleep(int(wait))

    def json(self, method, path, body=None, **headers):
        return json.loads(self.send(method, path, body, **headers)[1])


def problem_of(error):
    """The error of the service; another program, such as a proxy, may have answered in its place."""
    if error.headers.get_content_type() == 'application/problem+json':
        return Refused(json.loads(error.read()))
    return error


class Client:
    """One model of a service, and the keys for it in a folder."""

    def __init__(self, service, model, folder):
        self.service = service
        self.model = urllib.parse.quote(model, safe='')
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.manifest = service.json('GET', f'/v2/models/{self.model}/manifest')
        self.file('manifest.json').write_text(json.dumps(self.manifest))
        self.local = ['--manifest', self.file('manifest.json'), '--keys', folder / 'keys']

    def file(self, name):
        return self.folder / f'{self.model}.{name}'

    def classify(self, image):
        """The classes of an image, best first."""
        try:
            return self.infer(image, self.key_set())
        except Refused as error:
            if error.code != 'KEYS_EXPIRED':
                raise
            self.file('key-set-id').unlink()
            return self.infer(image, self.key_set())

    def key_set(self):
        """The id of the key set on the server, which everybody who knows it can use: the file is for this user alone."""
        if self.file('key-set-id').exists():
            return self.file('key-set-id').read_text()
        key_id = self.upload()
        with open(self.file('key-set-id'), 'w', opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(key_id)
        return key_id

    def upload(self):
        frame = self.file('key-set')
        keys = polyveil('keygen', self.file('manifest.json'), '--keys', self.folder / 'keys', '--out', frame)
        announcement = json.dumps(keys['announcement']).encode()
        key_id = self.service.json('POST', '/v2/keys', announcement, Content_Type='application/json')['id']
        offset = 0
        with open(frame, 'rb') as file:
            while part := file.read(PART_BYTES):
                headers = {'PolyVeil-Key-Set': key_id, 'Upload-Offset': str(offset), 'Content-Type': BYTES}
                self.service.send('PUT', '/v2/keys', part, **headers)
                offset += len(part)
        frame.unlink()
        return key_id

    def infer(self, image, key_id):
        query = self.file('query')
        polyveil('encrypt', image, *self.local, '--out', query)
        frame = query.read_bytes()
        inputs = {'name': 'image', 'datatype': 'BYTES', 'shape': [1], 'parameters': {'binary_data_size': len(frame)}}
        parameters = {'key_set': key_id, 'manifest_digest': self.manifest['digest']}
        header = json.dumps({'parameters': parameters, 'inputs': [inputs]}).encode()
        length = {'Inference-Header-Content-Length': str(len(header))}
        path = f'/v2/models/{self.model}/infer'
        answer = parts(self.service.send('POST', path, header + frame, Content_Type=BYTES, **length))
        for number in range(self.manifest['rounds']):
            answer = self.refresh(number, answer, key_id)
        self.file('logits').write_bytes(answer[1])
        return polyveil('decrypt', self.file('logits'), *self.local)['classes']

    def refresh(self, number, answer, key_id):
        """Encrypts the masked values of a refresh round anew, and returns the next answer."""
        header, masked = answer
        self.file('masked').write_bytes(masked)
        refreshed = self.file('refreshed')
        polyveil('refresh', self.file('masked'), *self.local, '--round', number, '--out', refreshed)
        path = f"/v2/inferences/{header['id']}/rounds/{number}"
        headers = {'PolyVeil-Key-Set': key_id, 'Content-Type': BYTES}
        return parts(self.service.send('POST', path, refreshed.read_bytes(), **headers))


def parts(answer):
    """The JSON document and the frame of a binary answer."""
    headers, body = answer
    length = int(headers['Inference-Header-Content-Length'])
    return json.loads(body[:length]), body[length:]


def main():
    parser = argparse.ArgumentParser(description='Classify an image on a server that never sees it.')
    parser.add_argument('image')
    parser.add_argument('--url', default='http://127.0.0.1:8080')
    parser.add_argument('--model', default='digits')
    parser.add_argument('--state', type=pathlib.Path, default=pathlib.Path('polyveil-client'))
    options = parser.parse_args()
    try:
        client = Client(Service(options.url), options.model, options.state)
        for best in client.classify(options.image)[:3]:
            print(f"{best['label']}: {100 * best['score']:.1f} %")
    except (Refused, OSError) as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
