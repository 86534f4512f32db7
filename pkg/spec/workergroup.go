package spec

import "strings"

// groupMark stands between a worker's group and its name.
const groupMark = "/"

// WorkerOf is the id of a worker of a group: <group>/<name>. Without a group it is the name.
func WorkerOf(group, name string) WorkerID {
	if group == "" {
		return WorkerID(name)
	}
	return WorkerID(group + groupMark + name)
}

// Split returns the group that a worker belongs to, "" for none, and its name there. Workers of a group share one credential:
// what they publish names their group, so they may speak for each other and for nobody else.
func (w WorkerID) Split() (group, name string) {
	group, name, grouped := strings.Cut(string(w), groupMark)
	if !grouped || group == "" {
		return "", string(w)
	}
	return group, name
}
