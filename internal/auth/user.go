package auth

import (
	"fmt"
	"regexp"
	"slices"
)

// Role is what a credential is for.
type Role string

// The roles.
const (
	RoleCoordinator Role = "coordinator" // leads runs: makes streams, writes journals, publishes tasks
	RoleOperator    Role = "operator"    // reads what runs keep; changes go through the HTTP API
	RoleWorker      Role = "worker"      // a group of workers: takes tasks, publishes results
)

// GroupDefault is the group of workers that init makes.
const GroupDefault = "default"

// User is one credential. Workers that share one are a group.
type User struct {
	Role  Role   `json:"role"`
	Group string `json:"group,omitempty"`
	// Classes and Runs are what a group of workers may serve; everything when empty.
	Classes []string `json:"classes,omitempty"`
	Runs    []string `json:"runs,omitempty"`
	// Key is the public key.
	Key string `json:"key"`
}

// Name is how files and people call the user.
func (u User) Name() string {
	if u.Role == RoleWorker {
		return string(u.Role) + "-" + u.Group
	}
	return string(u.Role)
}

// InboxPrefix is the first token of the subjects at which the user gets answers.
func (u User) InboxPrefix() string {
	if u.Role == RoleWorker {
		return "_INBOX_" + u.Group
	}
	return "_INBOX_" + string(u.Role)
}

// APIPrefix is where the user asks JetStream. An operator has a place of its own for that: in an account without streams
// JetStream answers beside whoever else does, and says that there is nothing.
func (u User) APIPrefix() string {
	if u.Role == RoleOperator {
		return operatorAPI
	}
	return streamAPI
}

// groupName fits a subject, a file name and a name in Kubernetes as it is.
var groupName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// check refuses a user that cannot be.
func (u User) check() error {
	if u.Role != RoleWorker {
		return nil
	}
	if !groupName.MatchString(u.Group) {
		return fmt.Errorf("group %.60q: write 1 to 40 lower-case letters, digits and '-', which is neither first nor last", u.Group)
	}
	if slices.Contains(u.Classes, "") {
		return fmt.Errorf("group %s: a class has no name", u.Group)
	}
	if slices.Contains(u.Runs, "") {
		return fmt.Errorf("group %s: a run has no name", u.Group)
	}
	return nil
}
