// A client of HTTP/2 with one session, and never another: for each line it posts, and says which generation has answered.
const http2 = require('http2');
const session = http2.connect(process.argv[2], { rejectUnauthorized: false });
const fail = (what) => { console.log('error: ' + what); process.exit(1); };
session.on('goaway', () => fail('it is sent away'));
session.on('error', (e) => fail(e.message));
session.on('close', () => fail('the session is closed'));
require('readline').createInterface({ input: process.stdin })
  .on('line', (line) => {
    const request = session.request({ ':method': 'POST', ':path': '/echo' });
    let headers, body = '';
    request.setEncoding('utf8');
    request.on('response', (h) => { headers = h; });
    request.on('data', (d) => { body += d; });
    request.on('error', (e) => fail(e.message));
    request.on('end', () => {
      if (headers[':status'] !== 200 || body !== line) fail(headers[':status'] + ': ' + body.length + ' bytes');
      console.log(headers['x-gozd-generation']);
    });
    request.end(line);
  })
  .on('close', () => process.exit(0));
