// A site with Express: a page for everybody, one for a user, and an API.
const express = require('express');
const path = require('path');

const app = express();

app.use('/assets', express.static(path.join(__dirname, 'assets')));

const page = (title, text) => `<!doctype html>
<html lang="en">
<link rel="stylesheet" href="/assets/site.5f1e2a.css">
<title>${title}</title>
<p>${text}</p>
`;

app.get('/', (request, response) => response.send(page('Home', 'The same for everybody.')));

// A session is a cookie, as with express-session.
app.get('/account', (request, response) => {
  const session = /(?:^|; )connect\.sid=(\w+)/.exec(request.get('Cookie') || '');
  response.send(page('Your account', session ? `Hello, ${session[1]}.` : 'Hello, guest.'));
});

app.get('/api/items', (request, response) => response.json([{ id: 1, name: 'one' }, { id: 2, name: 'two' }]));

app.listen(process.env.PORT || 3000, process.env.HOST || '127.0.0.1');
