// Command caddy is Caddy with the conditional_cache module and both of its stores built in, and with what Caddyfile.example
// demonstrates it on. With `-tags nodemo` that is left out, as a server for others to visit needs none of it.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/conditionalcache/caddy-conditional-cache"
	_ "github.com/conditionalcache/caddy-conditional-cache/validators/redis"
)

func main() {
	caddycmd.Main()
}
