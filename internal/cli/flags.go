package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"autoresearch/pkg/bus"
)

// NATSFlags are the flags that say how to reach NATS. Secrets come from files only.
type NATSFlags struct {
	URL, Credentials, NKeySeed, User, PasswordFile string
	CA, Cert, Key                                  string
}

// Add registers the flags.
func (f *NATSFlags) Add(fs *pflag.FlagSet) {
	fs.StringVar(&f.URL, "nats", f.URL, "NATS server `URL`, or several separated by commas")
	fs.StringVar(&f.Credentials, "nats-creds", "", "`FILE` with a user's JWT and seed (.creds)")
	fs.StringVar(&f.NKeySeed, "nats-nkey", "", "`FILE` with an nkey seed")
	fs.StringVar(&f.User, "nats-user", "", "user `NAME`; the password is read from --nats-password-file")
	fs.StringVar(&f.PasswordFile, "nats-password-file", "", "`FILE` whose first line is the password")
	fs.StringVar(&f.CA, "nats-tls-ca", "", "`FILE` with the certificate authorities to trust (PEM)")
	fs.StringVar(&f.Cert, "nats-tls-cert", "", "`FILE` with the client certificate (PEM)")
	fs.StringVar(&f.Key, "nats-tls-key", "", "`FILE` with the client key (PEM)")
}

// Options returns the flags as connection options. A daemon waits for NATS with Retry.
func (f *NATSFlags) Options(name string, log *slog.Logger) bus.Options {
	return bus.Options{
		URL: f.URL, Name: name, CredentialsFile: f.Credentials, NKeySeedFile: f.NKeySeed, User: f.User,
		PasswordFile: f.PasswordFile, TLSCA: f.CA, TLSCert: f.Cert, TLSKey: f.Key, Logger: log,
	}
}

// Concurrency checks what --max-concurrency says; 0 stands for the workflow's own.
func Concurrency(n int) error {
	if n < 0 {
		return Exit(ExitUsage, fmt.Errorf("--max-concurrency %d: it must be at least 1, or 0 for what the workflow says", n))
	}
	return nil
}

// LogFlags say how a program logs.
type LogFlags struct{ Level, Format string }

// Add registers the flags.
func (f *LogFlags) Add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Level, "log-level", "info", "least `LEVEL` that is logged: debug, info, warn, error")
	fs.StringVar(&f.Format, "log-format", "text", "log `FORMAT`: text or json")
}

// Logger returns a logger on w.
func (f *LogFlags) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.Level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: it must be debug, info, warn or error", f.Level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log-format %q: it must be text or json", f.Format)
}

// Slots parses "cpu=4,h100x1=8", or "4" for the default class.
func Slots(values []string, class string) (map[string]int, error) {
	slots := make(map[string]int)
	for _, v := range values {
		name, count, named := strings.Cut(v, "=")
		if !named {
			name, count = class, v
		}
		var n int
		if _, err := fmt.Sscanf(count, "%d", &n); err != nil || n < 1 || fmt.Sprint(n) != count {
			return nil, fmt.Errorf("--slots %q: write N or CLASS=N, with N at least 1", v)
		}
		slots[name] += n
	}
	return slots, nil
}

// errNotLoopback explains why an address is refused.
var errNotLoopback = errors.New("it is not a loopback address, and anyone who reaches it could use it; " +
	"set credentials, or listen on 127.0.0.1")

// Listen starts a NATS server on an address. Beyond loopback it must ask for credentials.
func Listen(address, user, passwordFile, store string, log *slog.Logger) (*bus.Embedded, error) {
	if user == "" {
		if err := CheckLoopback(address); err != nil {
			return nil, fmt.Errorf("--listen: %w (--listen-user, --listen-password-file)", err)
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--listen %q: %w", address, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil || number < 1 || number > 65535 {
		return nil, fmt.Errorf("--listen %q: the port must be a number from 1 to 65535", address)
	}
	var password string
	if user != "" {
		text, err := os.ReadFile(passwordFile)
		if err != nil {
			return nil, fmt.Errorf("--listen-password-file: %w", err)
		}
		if password, _, _ = strings.Cut(string(text), "\n"); strings.TrimSpace(password) == "" {
			return nil, fmt.Errorf("--listen-password-file %s: its first line is empty", passwordFile)
		}
	}
	return bus.StartEmbedded(bus.EmbeddedOptions{
		StoreDir: store, Host: host, Port: number, SyncAlways: true, Username: user, Password: strings.TrimSpace(password),
		Logger: log,
	})
}

// CheckLoopback refuses an address that other machines reach.
func CheckLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("address %q: %w", address, errNotLoopback)
}
