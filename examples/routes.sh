#!/usr/bin/env bash
# Goes through the routes of a classification with curl. The offline steps of the command line make the keys, encrypt the image, answer
# refresh rounds and decrypt. Needs curl, and a project with `npm install polyveil sharp`:
# bash routes.sh photo.png [URL] [MODEL]
set -euo pipefail

[ $# -ge 1 ] || { echo 'Usage: bash routes.sh IMAGE [URL] [MODEL]' >&2; exit 2; }
[ -r "$1" ] || { echo "$1 is missing, or may not be read" >&2; exit 1; }
photo=$(realpath "$1") url=${2:-http://127.0.0.1:8080} model=${3:-digits}
work=$(mktemp -d) id=
# Without --no, npx would install and run a package of that name where this project has none.
polyveil() { npx --no -- polyveil "$@" --quiet || exit 1; }
# A member of a JSON file.
member() { node -p 'JSON.parse(fs.readFileSync(process.argv[1]))[process.argv[2]]' "$1" "$2"; }
# The id of a key set is a secret: curl reads the header with it from a file, since the list of processes shows arguments.
call() { curl -sS --fail-with-body -H "@$work/secret" "$@"; }
bytes='Content-Type: application/octet-stream'
# The server and this machine forget the keys, also after a failure.
trap '[ -z "$id" ] || call -X DELETE "$url/v2/keys"; rm -rf "$work"' EXIT
: > "$work/secret"

echo '1. The manifest: parameters, shapes, preprocessing; no weights'
call "$url/v2/models/$model/manifest" -o "$work/manifest.json"
local=(--manifest "$work/manifest.json" --keys "$work/keys")

echo '2. Keys: the secret key stays here, the others are announced and uploaded in parts of 16 MiB'
polyveil keygen "$work/manifest.json" --keys "$work/keys" --out "$work/key-set" --json > "$work/keygen.json"
node -p 'JSON.stringify(JSON.parse(fs.readFileSync(process.argv[1])).announcement)' "$work/keygen.json" > "$work/announcement.json"
call "$url/v2/keys" -H 'Content-Type: application/json' -d "@$work/announcement.json" -o "$work/upload.json"
id=$(member "$work/upload.json" id)
echo "PolyVeil-Key-Set: $id" > "$work/secret"
split -b 16777216 "$work/key-set" "$work/part-"
offset=0
for part in "$work"/part-*; do
  call -X PUT "$url/v2/keys" -H "Upload-Offset: $offset" -H "$bytes" --data-binary "@$part" -o "$work/stored.json"
  offset=$((offset + $(wc -c < "$part")))
done

echo '3. The query: a JSON document, directly followed by the encrypted image'
polyveil encrypt "$photo" "${local[@]}" --out "$work/query"
cat > "$work/header.mjs" <<'END'
import { readFileSync, statSync } from 'node:fs'
const json = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url)))
const size = statSync(new URL('query', import.meta.url)).size
const inputs = [{ name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: size } }]
const parameters = { key_set: json('upload.json').id, manifest_digest: json('manifest.json').digest }
process.stdout.write(JSON.stringify({ parameters, inputs }))
END
node "$work/header.mjs" > "$work/header.json"
cat "$work/header.json" "$work/query" > "$work/body"
call "$url/v2/models/$model/infer" -H "$bytes" --data-binary "@$work/body" -D "$work/headers" -o "$work/answer" \
  -H "Inference-Header-Content-Length: $(wc -c < "$work/header.json" | tr -d ' ')"

# An answer has the form of a query. Its frame is a masked tensor or the logits.
parse() {
  local length
  length=$(grep -i '^inference-header-content-length:' "$work/headers" | tr -cd 0-9)
  head -c "$length" "$work/answer" > "$work/answer.json"
  tail -c +$((length + 1)) "$work/answer" > "$work/frame"
}
parse
rounds=$(member "$work/manifest.json" rounds)
echo "4. $rounds refresh rounds, in which the masked values are encrypted anew"
for ((round = 0; round < rounds; round++)); do
  polyveil refresh "$work/frame" "${local[@]}" --round "$round" --out "$work/refreshed"
  inference=$(member "$work/answer.json" id)
  call "$url/v2/inferences/$inference/rounds/$round" -H "$bytes" --data-binary "@$work/refreshed" -D "$work/headers" -o "$work/answer"
  parse
done

echo '5. The answer, which only this machine can decrypt'
polyveil decrypt "$work/frame" "${local[@]}" --top 3
