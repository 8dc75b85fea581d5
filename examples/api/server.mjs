// A JSON API without dependencies: weak entity tags, and writes that nobody compares with anything.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const notes = new Map([['/notes/1', { title: 'First', text: 'Read me.' }]]);

const weakTag = (body) => `W/"${createHash('sha256').update(body).digest('base64url').slice(0, 20)}"`;

const answer = (response, status, value) => {
  const body = value === undefined ? '' : JSON.stringify(value);
  response.writeHead(status, {
    'Access-Control-Allow-Origin': 'http://localhost:5173',
    ...(body && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ETag: weakTag(body) }),
  });
  response.end(body);
};

createServer(async (request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname;
  switch (request.method) {
    case 'OPTIONS': // what a browser asks before a script of another origin may write
      response.writeHead(204, {
        'Access-Control-Allow-Origin': 'http://localhost:5173',
        'Access-Control-Allow-Methods': 'GET, HEAD, PUT, DELETE',
        'Access-Control-Allow-Headers': 'Content-Type, If-Match, If-None-Match, X-Api-Key',
      });
      response.end();
      return;
    case 'GET':
    case 'HEAD':
      return notes.has(path) ? answer(response, 200, notes.get(path)) : answer(response, 404, { error: 'no such note' });
    case 'PUT': {
      const parts = [];
      for await (const part of request) parts.push(part);
      try {
        notes.set(path, JSON.parse(Buffer.concat(parts)));
      } catch {
        return answer(response, 400, { error: 'no JSON' });
      }
      return answer(response, 204);
    }
    case 'DELETE':
      return answer(response, notes.delete(path) ? 204 : 404);
    default:
      return answer(response, 405, { error: 'GET, PUT or DELETE' });
  }
}).listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? '127.0.0.1');
