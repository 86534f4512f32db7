package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Times of a server.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	readyPoll    = 20 * time.Millisecond
)

// server is a server process on a loopback port.
type server struct {
	name    string
	address string
	cmd     *exec.Cmd
	ended   chan struct{}
	err     error
}

// startServer starts a command, with what it says in dir, and returns once its port answers. The process dies with this
// one, however that ends.
func startServer(ctx context.Context, name, address, dir string, as *syscall.Credential, command ...string) (*server, error) {
	s := &server{name: name, address: address, ended: make(chan struct{})}
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...) // stop ends it
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT, Credential: as}
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Dir = output, output, "/"
	err = s.cmd.Start()
	if err = errors.Join(err, output.Close()); err != nil { // the server has its own
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.await(ctx); err != nil {
		said, _ := os.ReadFile(output.Name()) // what it said is of use only if it can be read
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", name, err, said), s.stop())
	}
	return s, nil
}

// await returns once the port answers.
func (s *server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var dialer net.Dialer
	for {
		if conn, err := dialer.DialContext(ctx, "tcp", s.address); err == nil {
			return conn.Close()
		}
		select {
		case <-s.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer on %s: %w", s.address, ctx.Err())
		case <-time.After(readyPoll):
		}
	}
}

// stop ends the server: PostgreSQL and Redis both leave on SIGINT, without waiting for their clients.
func (s *server) stop() error {
	defer time.AfterFunc(stopTimeout, func() { _ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }).Stop()
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	<-s.ended
	if s.err != nil {
		return fmt.Errorf("stop %s: %w", s.name, s.err)
	}
	return nil
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// errNoServer: the program of a server is not installed.
var errNoServer = errors.New("not installed")

// find returns a program's path: in PATH, or at one of the places where Debian has it.
func find(program string, places ...string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, place := range places {
		if file, err := os.Stat(place); err == nil && !file.IsDir() {
			return place, nil
		}
	}
	return "", fmt.Errorf("%s: %w", program, errNoServer)
}

// startRedis starts Redis with an append-only file in dir. Its own snapshots are off, as they would only disturb.
func startRedis(ctx context.Context, dir string, d Durability) (*server, error) {
	program, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return startServer(ctx, "Redis", address, dir, nil, program, "--port", portOf(address), "--bind", "127.0.0.1", "--dir", dir,
		"--appendonly", "yes", "--appendfsync", redisFsync[d], "--save", "", "--daemonize", "no")
}

// postgresBin is where Debian keeps the programs of PostgreSQL 15.
const postgresBin = "/usr/lib/postgresql/15/bin/"

// startPostgres makes a cluster with default settings in dir and starts PostgreSQL on it. PostgreSQL refuses to run as
// root: it then runs as the user "postgres".
func startPostgres(ctx context.Context, dir string) (*server, error) {
	initdb, err := find("initdb", postgresBin+"initdb")
	if err != nil {
		return nil, err
	}
	postgres, err := find("postgres", postgresBin+"postgres")
	if err != nil {
		return nil, err
	}
	as, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	cluster := exec.CommandContext(ctx, initdb, "-D", filepath.Join(dir, "data"), "-U", "bench", "--auth", "trust",
		"--encoding", "UTF8", "--no-locale")
	cluster.SysProcAttr, cluster.Dir = &syscall.SysProcAttr{Credential: as}, "/"
	if said, err := cluster.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make a PostgreSQL cluster: %w\n%s", err, said)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	return startServer(ctx, "PostgreSQL", address, dir, as, postgres, "-D", filepath.Join(dir, "data"), "-p", portOf(address),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+dir)
}

// unprivileged makes dir and returns whom it belongs to: nil for this process's own user.
func unprivileged(dir string) (*syscall.Credential, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, nil
	}
	owner, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, uidErr := strconv.ParseUint(owner.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(owner.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("user postgres: %w", err)
	}
	as := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return as, os.Chown(dir, int(uid), int(gid))
}
