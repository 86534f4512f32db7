package bus

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// URLDefault is where Connect looks for NATS when Options name nothing.
const URLDefault = nats.DefaultURL

// ReconnectWaitDefault is the default of Options.ReconnectWait.
const ReconnectWaitDefault = 250 * time.Millisecond

// Times of a connection.
const (
	connectTimeout = 5 * time.Second
	pingInterval   = 10 * time.Second
	pingsOutMax    = 3
	drainTimeout   = 5 * time.Second
	requestTimeout = 5 * time.Second
	// connectWaitMax is the longest pause of Options.Retry, but for jitter; sayEvery is how often it says that it waits.
	connectWaitMax = 5 * time.Second
	sayEvery       = time.Minute
)

// Options say how to reach NATS. The zero value connects to URLDefault without credentials.
type Options struct {
	// URL is one URL or several, separated by commas; URLDefault when empty. Ignored with InProcess.
	URL string
	// Name is what the server lists this connection as.
	Name string
	// CredentialsFile is a .creds file (JWT and seed), NKeySeedFile an nkey's seed file.
	CredentialsFile string
	NKeySeedFile    string
	// User logs in with the first line of PasswordFile, or with Password when there is no file.
	User         string
	PasswordFile string
	Password     string
	// TLSCA is a PEM file of certificate authorities; TLSCert and TLSKey are the client's own certificate.
	TLSCA   string
	TLSCert string
	TLSKey  string
	// InProcess connects to a server in this process, without a socket.
	InProcess *server.Server
	// InboxPrefix is where answers come back: "_INBOX" when empty. A worker with its own permissions has its own.
	InboxPrefix string
	// APIPrefix is where JetStream is asked: "$JS.API." when empty. A user in another account than the streams' has it where
	// his account imports it.
	APIPrefix string
	// Retry makes Connect try, at growing intervals, until its context is done while NATS cannot be reached or cannot
	// answer yet; other errors still end it.
	Retry bool
	// ReconnectWait is the least time between two attempts to connect to one server; up to three times as much is added
	// at random. ReconnectWaitDefault when 0.
	ReconnectWait time.Duration
	// Logger hears of disconnects, reconnects and malformed messages; slog.Default() when nil.
	Logger *slog.Logger
	// ErrorFunc, unless nil, hears of the connection's asynchronous errors (permissions, slow readers), from the
	// connection's own goroutine: it must return soon.
	ErrorFunc func(error)
}

func (o Options) reconnectWait() time.Duration {
	if o.ReconnectWait > 0 {
		return o.ReconnectWait
	}
	return ReconnectWaitDefault
}

// Conn is a connection to NATS. It reconnects for ever, never buffers what is sent while disconnected (a commit must
// not be stored later behind its sender's back), and is safe for concurrent use.
type Conn struct {
	nc     *nats.Conn
	log    *slog.Logger
	onErr  func(error)
	closed chan struct{} // closed once nc is
	api    string        // Options.APIPrefix

	link atomic.Pointer[link]

	mu          sync.Mutex
	reconnected map[int]func()
	nextID      int
	denied      chan<- error // a probe that waits for a permission error
}

// What Connect returns, wrapped, besides other errors.
var (
	// ErrUnreachable: no server answers at the URL.
	ErrUnreachable = errors.New("cannot reach NATS")
	// ErrNoJetStream: the server runs without JetStream, or the account may not use it.
	ErrNoJetStream = errors.New("NATS runs without JetStream")
	// ErrOldServer: the server is older than ServerVersionMin.
	ErrOldServer = errors.New("NATS server is too old")
	// ErrCredentials: the server refused the credentials.
	ErrCredentials = errors.New("NATS refused the credentials")
)

// Connect connects and checks that the server can do what this project needs. Each error says what to do about it.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	wait, said := o.reconnectWait(), time.Time{}
	for {
		c, err := connect(ctx, o)
		if err == nil || !o.Retry || errors.Is(err, ErrNoJetStream) || !errors.Is(err, ErrUnreachable) && !Passing(err) {
			return c, err
		}
		if time.Since(said) > sayEvery {
			said = time.Now()
			o.Logger.Warn("NATS is not reachable yet; waiting for it", "error", err)
		}
		if gaveUp := pause(ctx, wait+rand.N(wait)); gaveUp != nil {
			return nil, fmt.Errorf("%w: gave up: %w", err, gaveUp)
		}
		wait = min(2*wait, connectWaitMax)
	}
}

// connect is Connect, once.
func connect(ctx context.Context, o Options) (*Conn, error) {
	c := &Conn{
		log: o.Logger, onErr: o.ErrorFunc, closed: make(chan struct{}), reconnected: map[int]func(){}, api: cmp.Or(o.APIPrefix, "$JS.API."),
	}
	c.link.Store(newLink())
	options, err := c.natsOptions(o)
	if err != nil {
		return nil, err
	}
	if err := c.dial(o, options); err != nil {
		return nil, err
	}
	if err := c.check(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Conn) natsOptions(o Options) ([]nats.Option, error) {
	wait := o.reconnectWait()
	options := []nats.Option{
		nats.Name(o.Name),
		nats.Timeout(connectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(wait),
		nats.ReconnectJitter(3*wait, 3*wait),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOutMax),
		nats.DrainTimeout(drainTimeout),
		nats.ErrorHandler(c.asyncError),
		nats.DisconnectErrHandler(c.disconnect),
		nats.ReconnectHandler(c.reconnect),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
	if o.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(o.InboxPrefix))
	}
	if o.InProcess != nil {
		options = append(options, nats.InProcessServer(o.InProcess))
	}
	credentials, err := credentialOptions(o)
	return append(options, credentials...), err
}

func credentialOptions(o Options) (options []nats.Option, err error) {
	if o.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(o.CredentialsFile))
	}
	if o.NKeySeedFile != "" {
		seed, err := nats.NkeyOptionFromSeed(o.NKeySeedFile)
		if err != nil {
			return nil, fmt.Errorf("nkey seed file %s: %w", o.NKeySeedFile, err)
		}
		options = append(options, seed)
	}
	if o.User != "" {
		password, err := readPassword(o)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.UserInfo(o.User, password))
	}
	if o.TLSCA != "" {
		options = append(options, nats.RootCAs(o.TLSCA))
	}
	if o.TLSCert != "" || o.TLSKey != "" {
		options = append(options, nats.ClientCert(o.TLSCert, o.TLSKey))
	}
	return options, nil
}

func readPassword(o Options) (string, error) {
	if o.PasswordFile == "" {
		return o.Password, nil
	}
	text, err := os.ReadFile(o.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("password of NATS user %s: %w", o.User, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

func (c *Conn) dial(o Options, options []nats.Option) (err error) {
	url := o.URL
	if url == "" {
		url = URLDefault
	}
	if c.nc, err = nats.Connect(url, options...); err != nil {
		return explainConnect(err, url, o)
	}
	return nil
}

// explainConnect names the remedy of a failed connect.
func explainConnect(err error, url string, o Options) error {
	where := "at " + redact(url)
	if o.InProcess != nil {
		where = "in this process"
	}
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("%w %s: %w: check the user, password, nkey or .creds file", ErrCredentials, where, err)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w %s: %w", ErrCredentials, where, err)
	case isTLS(err):
		return fmt.Errorf("%w %s: %w: %s", ErrCredentials, where, err, checkTLS)
	case errors.Is(err, nats.ErrTLS): // the server went away, or refuses a certificate and was not heard to say so
		return fmt.Errorf("%w %s: %w: %s", ErrUnreachable, where, err, checkTLS)
	}
	return fmt.Errorf("%w %s: %w: start it with \"nats-server -js\" or name its URL", ErrUnreachable, where, err)
}

const checkTLS = "check the TLS files (authority, certificate, key) and the name in the URL"

// isTLS: certificates do not fit, whichever side says so.
func isTLS(err error) bool {
	var verify *tls.CertificateVerificationError
	var remote *net.OpError
	return errors.As(err, &verify) || errors.As(err, &remote) && remote.Op == "remote error" ||
		errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted)
}

// redact hides the passwords of URLs.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		if at := strings.LastIndexByte(part, '@'); at >= 0 {
			scheme, _, found := strings.Cut(part, "://")
			if !found {
				scheme = "nats"
			}
			parts[i] = scheme + "://***@" + part[at+1:]
		}
	}
	return strings.Join(parts, ",")
}

// check refuses servers that cannot serve.
func (c *Conn) check(ctx context.Context) error {
	version := c.nc.ConnectedServerVersion()
	if err := checkServerVersion(version); err != nil {
		return err
	}
	if old := versionLess(version, serverVersionGood); old {
		c.log.Warn("this NATS server has known faults; a newer one is better",
			"version", version, "wanted", serverVersionGood)
	}
	return c.probeJetStream(ctx)
}

// probeJetStream asks for the account's JetStream. A connection that may not ask passes: a worker's permissions cover
// its own subjects only.
func (c *Conn) probeJetStream(ctx context.Context) error {
	ctx, cancel := c.waitContext(ctx, requestTimeout)
	defer cancel()
	denied := make(chan error, 1)
	c.expectDenial(denied)
	defer c.expectDenial(nil)
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = c.request(ctx, c.api+"INFO", nil, nil)
	}()
	select {
	case <-ended:
	case denial := <-denied: // which counts, not that the request was given up
		c.log.Debug("this user may not ask for JetStream's state", "error", denial)
		cancel()
		<-ended
		return nil
	}
	if errors.Is(err, nats.ErrNoResponders) || isCode(err, codeNotEnabled, codeNotEnabledAccount) {
		return fmt.Errorf("%w: start it with \"nats-server -js\", or enable JetStream for the account: %w", ErrNoJetStream, err)
	}
	if err != nil {
		return fmt.Errorf("ask NATS for JetStream: %w", err)
	}
	return nil
}

func (c *Conn) expectDenial(denied chan<- error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied = denied
}

// NATS returns the connection underneath, for what only it can do: object stores.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// Connected reports whether the connection is up now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Reconnects is how often the connection was lost and came back.
func (c *Conn) Reconnects() uint64 { return c.nc.Stats().Reconnects }

// MaxPayload is the largest message the server takes, headers included, in bytes. It may change at a reconnect.
func (c *Conn) MaxPayload() int { return int(c.nc.MaxPayload()) }

// RTT measures a round trip to the server.
func (c *Conn) RTT(ctx context.Context) (time.Duration, error) {
	ctx, cancel := c.waitContext(ctx, requestTimeout)
	defer cancel()
	start := time.Now()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return 0, fmt.Errorf("measure the round trip to NATS: %w", whenAway(err))
	}
	return time.Since(start), nil
}

// Close delivers what was received and sent, for at most a few seconds, and closes the connection. What it stops has
// stopped when it returns. Close may be called more than once.
func (c *Conn) Close() error {
	err := c.nc.Drain()
	if err == nil || errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrConnectionClosed) {
		err = nil
	}
	select {
	case <-c.closed:
	case <-time.After(2 * drainTimeout):
		c.nc.Close()
		<-c.closed
	}
	if err != nil {
		return fmt.Errorf("close the connection to NATS: %w", err)
	}
	return nil
}
