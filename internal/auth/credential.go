package auth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nkeys"
)

// mark begins the line of a seed file that says whose seed it is, so that programs need not be told beside it.
const mark = "# autoresearch: "

// seedFile is the text of a seed's file.
func seedFile(u User, seed []byte) []byte {
	return fmt.Appendf(nil, "%s%s\n%s\n", mark, strings.TrimSpace(string(u.Role)+" "+u.Group), seed)
}

// ReadCredential reads a seed's file and returns whose it is, without what it may serve. The seed of a file that something
// else made belongs to nobody: then the role is empty.
func ReadCredential(path string) (User, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return User{}, fmt.Errorf("nkey seed file: %w", err)
	}
	u, err := parseCredential(text)
	if err != nil {
		return User{}, fmt.Errorf("nkey seed file %s: %w", path, err)
	}
	return u, nil
}

func parseCredential(text []byte) (User, error) {
	pair, err := nkeys.ParseDecoratedNKey(text)
	if err != nil {
		return User{}, errors.New("it holds no seed of a user: a line that begins with SU")
	}
	defer pair.Wipe()
	u := whose(text)
	if u.Key, err = pair.PublicKey(); err != nil {
		return User{}, err
	}
	return u, u.check()
}

// whose reads the line that says whose seed it is.
func whose(text []byte) (u User) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		rest, marked := strings.CutPrefix(lines.Text(), mark)
		if fields := strings.Fields(rest); marked && len(fields) > 0 {
			u.Role = Role(fields[0])
			if len(fields) > 1 {
				u.Group = fields[1]
			}
			return u
		}
	}
	return u
}

// newSeed draws a user's seed.
func newSeed() (seed []byte, public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", err
	}
	if public, err = pair.PublicKey(); err != nil {
		return nil, "", err
	}
	seed, err = pair.Seed()
	return seed, public, err
}
