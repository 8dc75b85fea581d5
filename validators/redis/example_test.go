package redis_test

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/conditionalcache/caddy-conditional-cache/validators/redis"
)

// The JSON of a store. Nothing is connected to.
func ExampleRedis_UnmarshalCaddyfile() {
	var store redis.Redis
	err := store.UnmarshalCaddyfile(caddyfile.NewTestDispenser(`redis {
		address redis-1.internal:26379 redis-2.internal:26379
		sentinel main
		db 2
		tls {
			ca /etc/ssl/redis.pem
		}
		timeout 20ms
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := json.MarshalIndent(&store, "", "  ") //nolint:gosec // no password is in it
	fmt.Println(string(text), err)

	// Output:
	// {
	//   "address": [
	//     "redis-1.internal:26379",
	//     "redis-2.internal:26379"
	//   ],
	//   "sentinel": "main",
	//   "tls": {
	//     "ca": [
	//       "/etc/ssl/redis.pem"
	//     ]
	//   },
	//   "db": 2,
	//   "timeout": 20000000
	// } <nil>
}
