package cli

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"autoresearch/internal/auth"
	"autoresearch/pkg/bus"
)

// NATSFlags are the flags that say how to reach NATS. Secrets come from files only; each flag may be left to a variable of
// the same name: AUTORESEARCH_NATS_NKEY for --nats-nkey.
type NATSFlags struct {
	URL, Credentials, NKeySeed, User, PasswordFile string
	CA, Cert, Key                                  string
}

// Add registers the flags. A program that has no server of its own, and so a URL already, takes that too from its
// variable, AUTORESEARCH_NATS.
func (f *NATSFlags) Add(fs *pflag.FlagSet) {
	if f.URL != "" {
		f.URL = cmp.Or(os.Getenv("AUTORESEARCH_NATS"), f.URL)
	}
	fs.StringVar(&f.URL, "nats", f.URL, "NATS server `URL`, or several separated by commas")
	for _, flag := range []struct {
		value       *string
		name, usage string
	}{
		{&f.Credentials, "nats-creds", "`FILE` with a user's JWT and seed (.creds)"},
		{&f.NKeySeed, "nats-nkey", "`FILE` with an nkey seed, as autoresearch auth makes them"},
		{&f.User, "nats-user", "user `NAME`; the password is read from --nats-password-file"},
		{&f.PasswordFile, "nats-password-file", "`FILE` whose first line is the password"},
		{&f.CA, "nats-tls-ca", "`FILE` with the certificate authorities to trust (PEM)"},
		{&f.Cert, "nats-tls-cert", "`FILE` with the client certificate (PEM)"},
		{&f.Key, "nats-tls-key", "`FILE` with the client key (PEM)"},
	} {
		variable := "AUTORESEARCH_" + strings.ToUpper(strings.ReplaceAll(flag.name, "-", "_"))
		fs.StringVar(flag.value, flag.name, os.Getenv(variable), flag.usage)
	}
}

// Options returns the flags as connection options. A daemon waits for NATS with Retry.
func (f *NATSFlags) Options(name string, log *slog.Logger) bus.Options {
	o := bus.Options{
		URL: f.URL, Name: name, CredentialsFile: f.Credentials, NKeySeedFile: f.NKeySeed, User: f.User,
		PasswordFile: f.PasswordFile, TLSCA: f.CA, TLSCert: f.Cert, TLSKey: f.Key, Logger: log,
	}
	if u := f.user(); u.Role != "" {
		o.InboxPrefix, o.APIPrefix = u.InboxPrefix(), u.APIPrefix()
	}
	return o
}

// Group is the group of workers whose credential --nats-nkey names; "" for none.
func (f *NATSFlags) Group() string {
	if u := f.user(); u.Role == auth.RoleWorker {
		return u.Group
	}
	return ""
}

// user is whose seed --nats-nkey names. A file that cannot be read is for Connect to complain of.
func (f *NATSFlags) user() auth.User {
	if f.NKeySeed == "" {
		return auth.User{}
	}
	u, err := auth.ReadCredential(f.NKeySeed)
	if err != nil {
		return auth.User{}
	}
	return u
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
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: withoutControls}
	switch f.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log-format %q: it must be text or json", f.Format)
}

// withoutControls escapes the control characters that the handlers let through, DEL and those beyond ASCII: a terminal may
// take them for commands.
func withoutControls(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch err, isError := a.Value.Any().(error); {
	case a.Value.Kind() == slog.KindString:
		text = a.Value.String()
	case isError:
		text = fmt.Sprint(err) // which a nil pointer outlives
	default:
		return a
	}
	control := func(r rune) bool { return r >= 0x7f && r <= 0x9f }
	if strings.IndexFunc(text, control) < 0 {
		return a
	}
	var escaped strings.Builder
	for _, r := range text {
		if control(r) {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteRune(r)
		}
	}
	return slog.String(a.Key, escaped.String())
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
