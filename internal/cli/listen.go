package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"autoresearch/internal/auth"
	"autoresearch/pkg/bus"
)

// ListenFlags are the flags of a program that may bring a NATS server of its own.
type ListenFlags struct {
	Address string
	// Credentials is a directory of autoresearch auth; User and PasswordFile are one user for all; Open asks for nothing.
	Credentials        string
	User, PasswordFile string
	Open               bool
}

// Add registers the flags.
func (f *ListenFlags) Add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Address, "listen", "", "bring a NATS server of its own and listen on `ADDR`; beyond loopback it must ask for credentials")
	fs.StringVar(&f.Credentials, "listen-auth", "",
		"it asks for the keys in `DIR`, made by autoresearch auth init; from its first start on")
	fs.StringVar(&f.User, "listen-user", "", "it asks for the user `NAME`, who may do everything")
	fs.StringVar(&f.PasswordFile, "listen-password-file", "", "`FILE` whose first line is that user's password")
	fs.BoolVar(&f.Open, "listen-open", false, "let anybody who reaches --listen do everything")
}

// errNotLoopback explains why an address is refused.
var errNotLoopback = errors.New("it is not a loopback address, and anyone who reaches it could use it; " +
	"set credentials, or listen on 127.0.0.1")

// Start starts the server, with its store in a directory. Beyond loopback it must ask for credentials, or be told not to.
func (f *ListenFlags) Start(store string, log *slog.Logger) (*bus.Embedded, error) {
	o := bus.EmbeddedOptions{StoreDir: store, SyncAlways: true, Logger: log}
	if err := f.address(&o); err != nil {
		return nil, err
	}
	if err := f.credentials(&o); err != nil {
		return nil, err
	}
	return bus.StartEmbedded(o)
}

func (f *ListenFlags) address(o *bus.EmbeddedOptions) error {
	host, port, err := net.SplitHostPort(f.Address)
	if err != nil {
		return fmt.Errorf("--listen %q: %w", f.Address, err)
	}
	if o.Port, err = strconv.Atoi(port); err != nil || o.Port < 1 || o.Port > 65535 {
		return fmt.Errorf("--listen %q: the port must be a number from 1 to 65535", f.Address)
	}
	o.Host = host
	return nil
}

func (f *ListenFlags) credentials(o *bus.EmbeddedOptions) error {
	switch {
	case f.Credentials != "" && f.User != "":
		return Exit(ExitUsage, errors.New("--listen-auth or --listen-user: not both"))
	case f.Credentials != "":
		own := auth.User{Role: auth.RoleCoordinator}
		o.AccountsFile, o.NKeySeedFile = filepath.Join(f.Credentials, auth.ServerFile), auth.SeedPath(f.Credentials, own)
		o.InboxPrefix = own.InboxPrefix()
		return nil
	case f.User != "":
		text, err := os.ReadFile(f.PasswordFile)
		if err != nil {
			return fmt.Errorf("--listen-password-file: %w", err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		o.Username, o.Password = f.User, strings.TrimSpace(line)
		if o.Password == "" {
			return fmt.Errorf("--listen-password-file %s: its first line is empty", f.PasswordFile)
		}
		return nil
	case f.Open:
		return nil
	}
	if err := CheckLoopback(f.Address); err != nil {
		return fmt.Errorf("--listen: %w (--listen-auth, or --listen-user with --listen-password-file, or --listen-open)", err)
	}
	return nil
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
