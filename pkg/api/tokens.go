package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
)

// TokenRole says what the bearer of a token may do.
type TokenRole string

// The roles: read sees everything, operator also changes things.
const (
	RoleRead     TokenRole = "read"
	RoleOperator TokenRole = "operator"
)

// tokenMin is the least length of a token: shorter ones can be guessed.
const tokenMin = 16

// Tokens are the bearer tokens of a file: one "role token [name]" a line, where role is read or operator and the name is
// what changes are signed with; # begins a comment. The file is read again when it changes. One that can then not be read
// leaves the tokens as they are.
type Tokens struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	stamp   fileStamp
	entries []tokenEntry
}

// tokenEntry holds a token's hash: comparing hashes takes the same time whatever the token, and no token stays in memory.
type tokenEntry struct {
	hash [sha256.Size]byte
	role TokenRole
	name string
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// tokensInterval is how often the file is looked at, at most.
const tokensInterval = time.Second

// LoadTokens reads a token file. A file without tokens is an error: nobody could use the server.
func LoadTokens(path string, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{path: path, log: log}
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tokens) load() error {
	info, err := os.Stat(t.path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	entries, err := parseTokens(string(text))
	if err != nil {
		return fmt.Errorf("token file %s: %w", t.path, err)
	}
	t.entries, t.stamp = entries, fileStamp{info.ModTime(), info.Size()}
	return nil
}

// parseTokens names lines in its errors, and never what is in them.
func parseTokens(text string) (entries []tokenEntry, err error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		role := TokenRole(fields[0])
		switch {
		case role != RoleRead && role != RoleOperator:
			return nil, fmt.Errorf("line %d: it must begin with the role, %s or %s", number, RoleRead, RoleOperator)
		case len(fields) < 2 || len(fields) > 3:
			return nil, fmt.Errorf("line %d: write a role, a token, and a name if you like", number)
		case len(fields[1]) < tokenMin:
			return nil, fmt.Errorf("line %d: the token is shorter than %d characters: make one with openssl rand -hex 24",
				number, tokenMin)
		}
		entry := tokenEntry{hash: sha256.Sum256([]byte(fields[1])), role: role}
		if len(fields) == 3 {
			entry.name = fields[2]
		}
		entries = append(entries, entry)
	}
	if len(entries) == 0 {
		return nil, errors.New("it holds no token: write lines like \"operator TOKEN\"")
	}
	return entries, nil
}

// look returns the tokens in force.
func (t *Tokens) look() []tokenEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Sub(t.looked) < tokensInterval {
		return t.entries
	}
	t.looked = now
	info, err := os.Stat(t.path)
	if err == nil && (fileStamp{info.ModTime(), info.Size()}) == t.stamp {
		return t.entries
	}
	if err == nil {
		err = t.load()
	}
	if err != nil {
		t.log.Warn("the token file cannot be read; the tokens stay as they were", "err", err)
	} else {
		t.log.Info("the token file was read again", "tokens", len(t.entries))
	}
	return t.entries
}

// match finds the entry of a token, looking at every one.
func (t *Tokens) match(token string) (found tokenEntry, ok bool) {
	hash := sha256.Sum256([]byte(token))
	for _, e := range t.look() {
		if subtle.ConstantTimeCompare(hash[:], e.hash[:]) == 1 {
			found, ok = e, true
		}
	}
	return found, ok
}

// ByHeader is the header in which a client says in whose name it asks. It is a claim, for the record.
const ByHeader = "Autoresearch-By"

// byMax bounds a claimed name.
const byMax = 100

// identify says who asks, and refuses who may not.
func (s *Server) identify(q *http.Request, changes bool) (by string, err error) {
	claimed := q.Header.Get(ByHeader)
	if len(claimed) > byMax || strings.IndexFunc(claimed, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return "", problem(CodeInvalid, "header %s: it must be at most %d printable characters", ByHeader, byMax)
	}
	if s.o.Tokens == nil {
		if s.o.Loopback && !isLoopbackName(q.Host) {
			return "", problem(CodeHost, "this server does not answer as %q", q.Host)
		}
		return firstOf(claimed, "local"), nil
	}
	scheme, token, _ := strings.Cut(q.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", problem(CodeUnauthorized, "no token was sent")
	}
	entry, known := s.o.Tokens.match(strings.TrimSpace(token))
	if !known {
		return "", problem(CodeUnauthorized, "the token is not known")
	}
	if changes && entry.role != RoleOperator {
		return "", problem(CodeForbidden, "the token has the role %s", entry.role)
	}
	if entry.name != "" {
		return entry.name, nil
	}
	return firstOf(claimed, string(entry.role)), nil
}

func firstOf(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

// isLoopbackName reports whether a Host header names this machine to itself.
func isLoopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
