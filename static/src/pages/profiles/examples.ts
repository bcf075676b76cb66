// The examples of a profile's page. A test runs them against a real server.

export function curl(base: string, id: string): string {
  return `# AIRLOCK_KEY holds the key, ${id}:…
SCRIPT='set_result({"answer": 6 * 7})'
HASH=$(printf %s "$SCRIPT" | openssl dgst -sha256 -hmac "\${AIRLOCK_KEY#*:}" | sed 's/.* //')
python3 -c 'import json, sys; print(json.dumps({"script": sys.argv[1], "hash": sys.argv[2]}))' "$SCRIPT" "$HASH" |
  curl -sS '${base}/execute?wait=30' -H 'Authorization: Bearer ${id}' -H 'Content-Type: application/json' -d @-`;
}

export function python(base: string, id: string): string {
  return `import hashlib, hmac, json, os, urllib.request

profile, secret = os.environ["AIRLOCK_KEY"].split(":")  # ${id}:…
script = """
set_result({"answer": 6 * 7})
"""
body = {"script": script, "hash": hmac.new(secret.encode(), script.encode(), hashlib.sha256).hexdigest()}
request = urllib.request.Request(
    "${base}/execute?wait=30",
    json.dumps(body).encode(),
    {"Authorization": "Bearer " + profile, "Content-Type": "application/json"},
)
print(json.load(urllib.request.urlopen(request)))`;
}
