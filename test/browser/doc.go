// Package browser tests the dashboard in a real browser: Debian's chromium without a window, driven by chromedp, on the real
// program. It is a module of its own, so that the product depends on none of this. `make browser-test` runs it, and
// `go test . -pictures ../../docs/pictures` takes the pictures of the documentation.
package browser
