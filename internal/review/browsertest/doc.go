// Package browsertest drives the review page in a real Chromium, on the local
// stack: the real page, API, issuer and functions. It holds tests alone. They
// skip where there is no browser; `make test-browser` demands one.
package browsertest
