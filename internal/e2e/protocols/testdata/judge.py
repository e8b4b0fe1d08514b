# A client of HTTP/2 by httpx: for each line it posts, and says which generation has answered.
import sys
import warnings

import httpx

warnings.filterwarnings("ignore")
# It keeps its connection however long it is not asked; by default it would open another one after five seconds.
client = httpx.Client(http2=True, http1=False, verify=False, timeout=30, limits=httpx.Limits(keepalive_expiry=None))
for line in sys.stdin:
    line = line.rstrip("\n")
    try:
        answer = client.post(sys.argv[1] + "/echo", content=line)
        if answer.status_code != 200 or answer.text != line or answer.http_version != "HTTP/2":
            print("error:", answer.status_code, answer.http_version, len(answer.text), "bytes", flush=True)
        else:
            print(answer.headers["x-gozd-generation"], flush=True)
    except httpx.HTTPError as e:
        print("error:", type(e).__name__, e, flush=True)
