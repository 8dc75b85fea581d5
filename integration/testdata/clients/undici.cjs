// Requests the URL given once for each line of the standard input, through the cache interceptor of the undici that $UNDICI
// names, and prints the content as a line of JSON.
globalThis.File ??= require('node:buffer').File // undici 7 takes it for granted; Node.js 18 has it here only
const { Agent, interceptors, request } = require(process.env.UNDICI)

const dispatcher = new Agent().compose(interceptors.cache({ type: 'private' }))

async function load () {
  const { statusCode, body } = await request(process.argv[2], { dispatcher })
  const content = await body.text()
  if (statusCode !== 200) throw new Error(`status ${statusCode}`)
  console.log(JSON.stringify(content))
}

require('node:readline').createInterface({ input: process.stdin }).on('line', load)
