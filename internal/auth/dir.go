package auth

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files of a directory of credentials, beside the seeds: <user>.nk.
const (
	UsersFile      = "users.json"
	ServerFile     = "auth.conf"
	ClientTLSFile  = "tls.conf"
	RouteTLSFile   = "cluster-tls.conf"
	TokensFile     = "http-tokens"
	KubernetesDir  = "kubernetes"
	seedFileSuffix = ".nk"
)

// Dir is a directory of credentials, read or new.
type Dir struct {
	path    string
	Users   []User
	Written []string // the files that changed, in the order in which they were written
	Kept    []string // the seeds and tokens that were there before
}

// Open reads a directory; one that is not there, or has nobody in it, is as good.
func Open(path string) (*Dir, error) {
	d := &Dir{path: path}
	text, err := os.ReadFile(filepath.Join(path, UsersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &d.Users)
	}
	if err != nil {
		return nil, fmt.Errorf("credentials in %s: read %s: %w", path, UsersFile, err)
	}
	return d, nil
}

// Seed is the path of a user's seed.
func (d *Dir) Seed(u User) string { return SeedPath(d.path, u) }

// SeedPath is where the seed of a user lies in a directory of credentials.
func SeedPath(dir string, u User) string { return filepath.Join(dir, u.Name()+seedFileSuffix) }

// Init makes what every cluster needs: a coordinator, an operator, the default group of workers, and tokens for the HTTP API.
// Seeds and tokens that are there stay, unless force says to draw new ones.
func (d *Dir) Init(tls TLSPaths, force bool) error {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	for _, u := range []User{{Role: RoleCoordinator}, {Role: RoleOperator}, {Role: RoleWorker, Group: GroupDefault}} {
		if _, known := d.find(u); !known {
			d.Users = append(d.Users, u)
		}
	}
	if err := d.draw(force, d.Users); err != nil {
		return err
	}
	if err := d.tokens(force); err != nil {
		return err
	}
	if tls.Cert != "" {
		if err := errors.Join(d.write(ClientTLSFile, []byte(tls.clientTLS()), 0o644), d.write(RouteTLSFile, []byte(tls.routeTLS()), 0o644)); err != nil {
			return err
		}
	}
	return d.save()
}

// AddWorkers makes a group of workers, or changes what one may serve; its seed stays, unless force says to draw a new one.
func (d *Dir) AddWorkers(u User, force bool) error {
	u.Role = RoleWorker
	if err := u.check(); err != nil {
		return err
	}
	if len(d.Users) == 0 {
		return fmt.Errorf("%s holds no credentials yet: make them with autoresearch auth init %s", d.path, d.path)
	}
	i, known := d.find(u)
	if !known {
		d.Users = append(d.Users, u)
		i = len(d.Users) - 1
	}
	d.Users[i].Classes, d.Users[i].Runs = u.Classes, u.Runs
	if err := d.draw(force, d.Users[i:i+1]); err != nil {
		return err
	}
	return d.save()
}

func (d *Dir) find(u User) (int, bool) {
	i := slices.IndexFunc(d.Users, func(other User) bool { return other.Role == u.Role && other.Group == u.Group })
	return i, i >= 0
}

// draw gives users their keys: those of the seeds that are there, else new ones.
func (d *Dir) draw(force bool, users []User) error {
	for i := range users {
		u := &users[i]
		have, err := ReadCredential(d.Seed(*u))
		switch {
		case err == nil && !force:
			u.Key = have.Key
			d.Kept = append(d.Kept, d.Seed(*u))
			continue
		case err != nil && !errors.Is(err, fs.ErrNotExist) && !force:
			return fmt.Errorf("%w; --force draws a new one", err)
		}
		seed, public, err := newSeed()
		if err != nil {
			return fmt.Errorf("draw the seed of %s: %w", u.Name(), err)
		}
		u.Key = public
		if err := d.write(u.Name()+seedFileSuffix, seedFile(*u, seed), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// tokens draws a token a role of the HTTP API.
func (d *Dir) tokens(force bool) error {
	path := filepath.Join(d.path, TokensFile)
	if _, err := os.Stat(path); err == nil && !force {
		d.Kept = append(d.Kept, path)
		return nil
	}
	text := fmt.Sprintf("# role token [name]: read again when it changes\nread %s\noperator %s\n", newToken(), newToken())
	return d.write(TokensFile, []byte(text), 0o600)
}

func newToken() string { return strings.ToLower(rand.Text() + rand.Text()) }

// save writes everything that follows from the users.
func (d *Dir) save() error {
	list, err := json.MarshalIndent(d.Users, "", "  ")
	if err != nil {
		return err
	}
	if err := d.write(UsersFile, append(list, '\n'), 0o644); err != nil {
		return err
	}
	config := []byte(serverConfig(d.Users))
	if err := d.write(ServerFile, config, 0o644); err != nil {
		return err
	}
	return d.saveSecrets(config)
}

func (d *Dir) saveSecrets(config []byte) error {
	tokens, err := os.ReadFile(filepath.Join(d.path, TokensFile))
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	secrets := []secret{{name: "nats-auth", key: ServerFile, data: config}, {name: "coordinator-http", key: "tokens", data: tokens}}
	for _, u := range d.Users {
		seed, err := os.ReadFile(d.Seed(u))
		if err != nil {
			return fmt.Errorf("credentials: %w", err)
		}
		secrets = append(secrets, secretOf(u, seed))
	}
	if err := os.MkdirAll(filepath.Join(d.path, KubernetesDir), 0o700); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	for _, s := range secrets {
		if err := d.write(filepath.Join(KubernetesDir, s.name+".yaml"), s.manifest(), 0o600); err != nil {
			return err
		}
	}
	return d.write(filepath.Join(KubernetesDir, "kustomization.yaml"), kustomization(secrets), 0o644)
}

// write replaces a file whose content changes.
func (d *Dir) write(name string, data []byte, mode os.FileMode) error {
	path := filepath.Join(d.path, name)
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, data) {
		return os.Chmod(path, mode)
	}
	if err := replace(path, data, mode); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	d.Written = append(d.Written, path)
	return nil
}

// replace writes a file that nobody can read in between who may not.
func replace(path string, data []byte, mode os.FileMode) (err error) {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}
