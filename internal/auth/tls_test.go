package auth

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"autoresearch/internal/testca"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
)

// secured is a cluster of three servers with the generated users and TLS blocks, one certificate for all of them.
type secured struct {
	*cluster
	authority *testca.Authority
	certs     string // the folder of the servers' certificate
	servers   []*server.Server
	routes    []string
	said      chan string // what servers complain of
}

// newSecured starts a cluster, with everybody connected and two runs in it.
func newSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{authority: testca.New(t), certs: t.TempDir(), said: make(chan string, 1000)}
	cert, key := s.authority.Issue(s.certs)
	s.cluster = &cluster{t: t, replicas: 3, ca: s.authority.File, dir: initUsers(t, TLSPaths{CA: s.authority.File, Cert: cert, Key: key})}
	for range 3 {
		s.routes = append(s.routes, fmt.Sprintf("127.0.0.1:%d", bustest.FreePort(t)))
	}
	var urls []string
	for i, route := range s.routes {
		joined := s.start(fmt.Sprintf("s%d", i), route, filepath.Join(s.dir.path, RouteTLSFile))
		s.servers, urls = append(s.servers, joined), append(urls, joined.ClientURL())
	}
	s.url = strings.Join(urls, ",")
	s.awaitTrue("the servers are one cluster with a leader", func() bool {
		return slices.ContainsFunc(s.servers, func(one *server.Server) bool {
			return one.JetStreamIsLeader() && len(one.JetStreamClusterPeers()) == len(s.servers)
		})
	})
	s.populate()
	return s
}

// start starts a server that listens for routes at an address, with a TLS block of its own choice for them.
func (s *secured) start(name, route, routeTLS string) *server.Server {
	s.t.Helper()
	dir := s.t.TempDir()
	config := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf(`server_name: %s, listen: "127.0.0.1:-1", jetstream {store_dir: %q}
include %q
include %q
cluster {
  name: c, listen: %q, routes: ["nats://%s"]
  include %q
}
`, name, dir, relative(s.t, dir, filepath.Join(s.dir.path, ServerFile)), relative(s.t, dir, filepath.Join(s.dir.path, ClientTLSFile)),
		route, strings.Join(s.routes, `", "nats://`), relative(s.t, dir, routeTLS))
	must(s.t, os.WriteFile(config, []byte(text), 0o600))
	o, err := server.ProcessConfigFile(config)
	must(s.t, err)
	o.NoSigs = true
	started, err := server.NewServer(o)
	must(s.t, err)
	started.SetLoggerV2(complaints(s.said), false, false, false)
	started.Start()
	s.t.Cleanup(func() { started.Shutdown(); started.WaitForShutdown() })
	return started
}

// complaints hears what a server logs as an error.
type complaints chan string

func (c complaints) Errorf(format string, args ...any) {
	select {
	case c <- fmt.Sprintf(format, args...):
	default: // it is full: there was enough to hear
	}
}
func (complaints) Noticef(string, ...any) {}
func (complaints) Warnf(string, ...any)   {}
func (complaints) Fatalf(string, ...any)  {}
func (complaints) Debugf(string, ...any)  {}
func (complaints) Tracef(string, ...any)  {}

// awaitComplaint waits until a server says something.
func (s *secured) awaitComplaint(words string) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		said := next(s.t, s.said)
		if strings.Contains(said, words) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("no server says %q, the last one %q", words, said)
		}
	}
}

func (s *secured) awaitTrue(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it never happened: %s; %d complaints, the first: %v", what, len(s.said), <-s.said)
		}
	}
}

// TestTLS: three servers with the generated blocks are one cluster in which every role does its work, certificates are renewed
// while it runs, and one server may go. Nobody gets in who speaks plainly, who trusts another authority, or whose certificate
// comes from one.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := newSecured(t)
	s.workersWork()
	s.operatorReads()
	s.renewsCertificates()
	s.survivesAServer()
	s.refusesPlainSpeech()
	s.refusesStrangers()
}

// renewsCertificates: servers that read their configuration again show their new certificate to who comes then, and nobody has to go.
func (s *secured) renewsCertificates() {
	s.t.Helper()
	reconnects := s.conns["coordinator"].Reconnects()
	before := s.shown(s.servers[0])
	s.authority.Issue(s.certs)
	for _, one := range s.servers {
		must(s.t, one.Reload())
	}
	if after := s.shown(s.servers[0]); after == before {
		s.t.Error("the server shows the certificate that it had before")
	}
	must(s.t, s.flush("coordinator"))
	if n := s.conns["coordinator"].Reconnects(); n != reconnects {
		s.t.Errorf("the coordinator had to connect again %d times", n-reconnects)
	}
}

// shown is the serial number of the certificate that a server shows to a coordinator.
func (s *secured) shown(by *server.Server) string {
	s.t.Helper()
	conn, err := bus.Connect(s.t.Context(), bus.Options{URL: by.ClientURL(), TLSCA: s.ca, NKeySeedFile: s.dir.Seed(s.dir.Users[0])})
	must(s.t, err)
	state, err := conn.NATS().TLSConnectionState()
	must(s.t, errors.Join(err, conn.Close()))
	return state.PeerCertificates[0].SerialNumber.String()
}

// survivesAServer: what a coordinator wrote is on the others too when the server that led its journal is gone.
func (s *secured) survivesAServer() {
	s.t.Helper()
	journal, ctx := bus.NewJournal(s.conns["coordinator"], runOne, bus.StreamOptions{}), s.t.Context()
	for i, one := range s.servers {
		if one.JetStreamIsStreamLeader(accountMain, bus.JournalStream(runOne)) {
			one.Shutdown()
			one.WaitForShutdown()
			s.servers = append(s.servers[:i:i], s.servers[i+1:]...)
			break
		}
	}
	if len(s.servers) != 2 {
		s.t.Fatal("no server leads the journal")
	}
	s.awaitTrue("two servers take a record", func() bool {
		err := journal.Append(ctx, 1, []byte("another"))
		return err == nil || errors.Is(err, bus.ErrConflict) // the answer of an earlier try was lost
	})
	var records []string
	must(s.t, journal.Read(ctx, 1, func(_ uint64, record []byte) error { records = append(records, string(record)); return nil }))
	if got := strings.Join(records, " "); got != "record another" {
		s.t.Errorf("the journal holds %q", got)
	}
}

// refusesPlainSpeech: without TLS a client hears no more than that it is asked for, a route nothing.
func (s *secured) refusesPlainSpeech() {
	s.t.Helper()
	client, err := url.Parse(s.servers[0].ClientURL())
	must(s.t, err)
	for address, answers := range map[string]string{client.Host: "+OK PONG", s.servers[0].ClusterAddr().String(): "INFO +OK PONG"} {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		must(s.t, err)
		must(s.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = conn.Write([]byte("CONNECT {\"verbose\":true}\r\nPING\r\n"))
		must(s.t, err)
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if word, _, _ := strings.Cut(lines.Text(), " "); word != "" && strings.Contains(answers, word) {
				s.t.Errorf("%s answers without TLS: %s", address, lines.Text())
			}
		}
		must(s.t, conn.Close())
	}
}

// refusesStrangers: a client that trusts another authority, and a server that has its certificate from one.
func (s *secured) refusesStrangers() {
	s.t.Helper()
	other := testca.New(s.t)
	coordinator := s.dir.Users[0]
	for name, ca := range map[string]string{"another authority": other.File, "no authority": ""} {
		_, err := bus.Connect(s.t.Context(), bus.Options{URL: s.servers[0].ClientURL(), TLSCA: ca, NKeySeedFile: s.dir.Seed(coordinator)})
		if !errors.Is(err, bus.ErrCredentials) {
			s.t.Errorf("a client that trusts %s: %v", name, err)
		}
	}
	cert, key := other.Issue(s.t.TempDir())
	block := filepath.Join(s.t.TempDir(), RouteTLSFile)
	must(s.t, os.WriteFile(block, []byte(TLSPaths{CA: s.authority.File, Cert: cert, Key: key}.routeTLS()), 0o600))
	stranger := s.start("stranger", fmt.Sprintf("127.0.0.1:%d", bustest.FreePort(s.t)), block)
	s.awaitComplaint("TLS route handshake error")
	if n := stranger.NumRoutes(); n != 0 {
		s.t.Errorf("a server with a certificate of another authority has %d routes", n)
	}
}
