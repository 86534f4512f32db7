package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// EmbeddedOptions say how to run a NATS server in this process.
type EmbeddedOptions struct {
	// StoreDir is where JetStream keeps its files; required. One server at a time uses it.
	StoreDir string
	// Host is the address to listen on; 127.0.0.1 by default. On another address, set Username and Password.
	Host string
	// Port is 4222 when 0; -1 picks a free one.
	Port int
	// InProcess says that only this process connects: the server listens nowhere.
	InProcess bool
	// MaxPayload is the largest message in bytes; MaxPayloadDefault when 0.
	MaxPayload int
	// SyncInterval is how often files are synced to disk: what was acknowledged since survives a kill, not a power cut.
	// The server's default (2 minutes) when 0. SyncAlways syncs before each acknowledgement.
	SyncInterval time.Duration
	SyncAlways   bool
	// AccountsFile is a part of a server's configuration that says who there is; NKeySeedFile and InboxPrefix are then those
	// of Connect. Streams belong to an account: a store that was used without one looks empty.
	AccountsFile string
	NKeySeedFile string
	InboxPrefix  string
	// Username and Password, when set, are required from every connection.
	Username string
	Password string
	// Logger hears the server's warnings and errors (and its notices at level Debug); slog.Default() when nil.
	Logger *slog.Logger
}

// Defaults of EmbeddedOptions.
const (
	EmbeddedHostDefault = "127.0.0.1"
	EmbeddedPortDefault = 4222
	MaxPayloadDefault   = 8 << 20
)

const embeddedStartTimeout = 10 * time.Second

// Embedded is a NATS server in this process. It handles no signals. Its methods are safe for concurrent use.
type Embedded struct {
	server *server.Server
	o      EmbeddedOptions
	unlock func() error
	once   sync.Once
	err    error
}

// StartEmbedded starts a server and returns once it takes connections. Each error says what to do about it.
func StartEmbedded(o EmbeddedOptions) (*Embedded, error) {
	o = o.withDefaults()
	unlock, err := prepareStore(o.StoreDir)
	if err != nil {
		return nil, err
	}
	e := &Embedded{o: o, unlock: unlock}
	if err := e.start(); err != nil {
		return nil, errors.Join(err, unlock())
	}
	if err := e.announce(); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded NATS: %w", err), e.Shutdown())
	}
	return e, nil
}

func (o EmbeddedOptions) withDefaults() EmbeddedOptions {
	if o.Host == "" {
		o.Host = EmbeddedHostDefault
	}
	if o.Port == 0 {
		o.Port = EmbeddedPortDefault
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = MaxPayloadDefault
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// prepareStore makes the directory and takes its lock.
func prepareStore(dir string) (unlock func() error, err error) {
	if dir == "" {
		return nil, errors.New("embedded NATS: no store directory")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded NATS: cannot make the store directory: %w: choose one that can be written", err)
	}
	unlock, err = lockFile(filepath.Join(dir, "autoresearch.lock"))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("embedded NATS: store directory %s %w: stop it, or choose another directory", dir, ErrStoreInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: cannot write to store directory %s: %w: choose one that can be written", dir, err)
	}
	return unlock, nil
}

// ErrStoreInUse: another process runs a server on the store; EmbeddedURL says where.
var ErrStoreInUse = errors.New("is in use by another process")

// urlFile is the name of the file in a store that says where its server listens.
const urlFile = "autoresearch.url"

// EmbeddedURL returns where the server listens that another process runs on a store. It means nothing while nobody does.
func EmbeddedURL(storeDir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(storeDir, urlFile))
	if err != nil {
		return "", fmt.Errorf("find the server of store %s: %w", storeDir, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// announce says in the store where the server listens.
func (e *Embedded) announce() error {
	path := filepath.Join(e.o.StoreDir, urlFile)
	if e.o.InProcess {
		err := os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.WriteFile(path, []byte(e.ClientURL()+"\n"), 0o600)
}

// errLocked: another process holds the lock.
var errLocked = errors.New("locked")

func (e *Embedded) start() error {
	o := e.o
	if o.MaxPayload < 0 || o.MaxPayload > sizeMax {
		return fmt.Errorf("embedded NATS: a largest message of %d bytes: it may be %d at most", o.MaxPayload, sizeMax)
	}
	if !o.InProcess {
		if err := checkPort(o.Host, o.Port); err != nil {
			return err
		}
	}
	options, err := o.serverOptions()
	if err != nil {
		return err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	log := &serverLog{log: o.Logger, fatal: make(chan string, 1)}
	s.SetLoggerV2(log, false, false, false)
	e.server = s
	s.Start()
	if err := e.await(log.fatal); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return err
	}
	if o.Username == "" && o.AccountsFile == "" && !isLoopback(o.Host) && !o.InProcess {
		o.Logger.Warn("embedded NATS takes anyone's connection on a public address: set a user and a password", "host", o.Host)
	}
	return nil
}

// serverOptions are the options in the server's own terms.
func (o EmbeddedOptions) serverOptions() (options *server.Options, err error) {
	options = &server.Options{}
	if o.AccountsFile != "" {
		if options, err = server.ProcessConfigFile(o.AccountsFile); err != nil {
			return nil, fmt.Errorf("embedded NATS: who may connect: %w", err)
		}
	}
	options.ServerName = "autoresearch"
	options.Host, options.Port, options.DontListen = o.Host, o.Port, o.InProcess
	options.JetStream, options.StoreDir = true, o.StoreDir
	options.SyncInterval, options.SyncAlways = o.SyncInterval, o.SyncAlways
	options.MaxPayload = int32(o.MaxPayload)
	options.Username, options.Password = o.Username, o.Password
	options.NoSigs, options.DisableJetStreamBanner = true, true
	return options, nil
}

// checkPort refuses a port that is taken. Between this and the server's own listen it may be taken still: the server's
// error then says it less well.
func checkPort(host string, port int) error {
	if port < 0 {
		return nil
	}
	address := net.JoinHostPort(host, strconv.Itoa(port))
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return fmt.Errorf("embedded NATS: cannot listen on %s: %w: stop what listens there, or choose another port "+
			"(-1 picks a free one)", address, err)
	}
	return listener.Close()
}

// await returns once the server takes connections, or with the reason why it does not.
func (e *Embedded) await(fatal <-chan string) error {
	for end := time.Now().Add(embeddedStartTimeout); time.Now().Before(end); {
		select {
		case reason := <-fatal:
			return fmt.Errorf("embedded NATS: %s", reason)
		default:
		}
		if e.server.ReadyForConnections(100*time.Millisecond) && e.server.JetStreamEnabled() {
			return nil
		}
	}
	return fmt.Errorf("embedded NATS: not ready after %v", embeddedStartTimeout)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ClientURL is where other processes connect to.
func (e *Embedded) ClientURL() string { return e.server.ClientURL() }

// Server returns the server itself.
func (e *Embedded) Server() *server.Server { return e.server }

// Options returns what Connect needs to connect to this server within the process, with its user and password.
func (e *Embedded) Options(name string) Options {
	return Options{
		Name: name, InProcess: e.server, User: e.o.Username, Password: e.o.Password, NKeySeedFile: e.o.NKeySeedFile, InboxPrefix: e.o.InboxPrefix,
		Logger: e.o.Logger,
	}
}

// Connect connects to this server within the process.
func (e *Embedded) Connect(ctx context.Context, name string) (*Conn, error) {
	return Connect(ctx, e.Options(name))
}

// Shutdown stops the server and waits until it has stopped; its files are complete then. It may be called more than
// once.
func (e *Embedded) Shutdown() error {
	e.once.Do(func() {
		e.server.Shutdown()
		e.server.WaitForShutdown()
		e.err = e.unlock()
	})
	return e.err
}

// serverLog passes the server's words on.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // the first fatal one
}

func (l *serverLog) say(level slog.Level, format string, v []any) {
	l.log.Log(context.Background(), level, "embedded NATS: "+strings.TrimSpace(fmt.Sprintf(format, v...)))
}

// Noticef and the other methods implement the server's Logger.
func (l *serverLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }

// Fatalf is called before the server gives up; it must not end the process.
func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- strings.TrimSpace(fmt.Sprintf(format, v...)):
	default:
	}
}
