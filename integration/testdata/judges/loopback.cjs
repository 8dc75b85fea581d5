// The test server of http-cache-tests listens on every address. Loaded before it, this keeps it on 127.0.0.1.
const { Server } = require('net')

const { listen } = Server.prototype
Server.prototype.listen = function (port) {
  return listen.call(this, port, '127.0.0.1')
}
