package web

import (
	"fmt"
	"net"

	"github.com/spf13/pflag"

	"autoresearch/internal/cli"
)

// Flags say where and to whom a program answers.
type Flags struct {
	// Address is host:port; "" is no TCP.
	Address string
	// Tokens is the token file; "" asks for none, and then an address beyond loopback needs Open.
	Tokens string
	Open   bool
	// Advertise is the URL under which other coordinators reach this one; "" is what follows from the address.
	Advertise string
}

// Add registers the flags.
func (f *Flags) Add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Address, "http", f.Address,
		"serve the API, /healthz, /readyz and /metrics on `ADDR` too; a Unix socket in the workdir is always there")
	fs.StringVar(&f.Tokens, "http-tokens", "",
		"ask for the bearer tokens of `FILE`: lines \"read TOKEN\" and \"operator TOKEN [NAME]\"; needed beyond loopback")
	fs.BoolVar(&f.Open, "http-open", false, "let anybody who reaches --http see and change everything")
	fs.StringVar(&f.Advertise, "http-advertise", "",
		"other coordinators of the run reach --http at `URL` (default: what follows from the address)")
}

// Check refuses an address that others reach without tokens.
func (f *Flags) Check() error {
	if f.Address == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(f.Address); err != nil {
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--http %q: %w", f.Address, err))
	}
	if f.loopback() || f.Tokens != "" || f.Open {
		return nil
	}
	return fmt.Errorf("--http %s: it is not a loopback address, and anyone who reaches it could steer "+
		"the run; name a token file with --http-tokens, listen on 127.0.0.1, or say --http-open", f.Address)
}

func (f *Flags) loopback() bool { return cli.CheckLoopback(f.Address) == nil }
