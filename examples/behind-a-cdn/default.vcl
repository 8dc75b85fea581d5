# Varnish in the place of a CDN: it does what the origin's Cache-Control says, and asks with a condition when the time is over.
vcl 4.1;

backend origin {
	.host = "caddy";
	.port = "8080";
}

sub vcl_recv {
	# Pages are the same for everybody here. A CDN has a setting for that.
	unset req.http.Cookie;
}

sub vcl_backend_response {
	# What is stale is kept for another day, so that a 304 can make it fresh.
	set beresp.keep = 1d;
}
