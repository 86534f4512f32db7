package auth

import (
	"slices"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// exported is a service of the coordinators' account that others may import.
type exported struct {
	subject string
	stream  bool // several answers to one request
}

// exports are all that other accounts can ask of the coordinators' account. Users get parts of it.
var exports = []exported{
	{subject: "ar.result.*.*.*"},
	{subject: "ar.up.*.*"},
	{subject: "ar.log.*.*.>"},
	{subject: nextAPI + ">", stream: true},
	{subject: ackTasks + ">"},
	{subject: "$O.>"},
	{subject: directGet + ">"},
	{subject: "$JS.API.STREAM.INFO.*"},
	{subject: "$JS.API.STREAM.MSG.GET.*"},
	{subject: createAPI + "*.*"},
	{subject: deleteAPI + "*.*"},
}

// exportedStreams are what other accounts can listen to.
var exportedStreams = []string{"ar.ctl.>"}

// What JetStream calls the requests that are used here.
const (
	streamAPI   = "$JS.API."
	operatorAPI = "$JS." + accountMain + ".API."

	nextAPI   = streamAPI + "CONSUMER.MSG.NEXT."
	createAPI = streamAPI + "CONSUMER.CREATE."
	deleteAPI = streamAPI + "CONSUMER.DELETE."
	ackTasks  = "$JS.ACK." + bus.StreamTasks + "."
	directGet = streamAPI + "DIRECT.GET."
)

// grant is all that a user may do. services and streams are imported from the coordinators' account; a coordinator is in
// it.
type grant struct {
	services []string // it may publish to
	denied   []string // of them, all the same not
	streams  []string // it may listen to, beside its inbox
	answers  bool     // it may answer requests
}

func (u User) grant() grant {
	switch u.Role {
	case RoleCoordinator:
		return coordinatorGrant()
	case RoleOperator:
		return operatorGrant()
	}
	return u.workerGrant()
}

// coordinatorGrant is what leading runs takes, deleting those that people delete included: nothing restores or copies whole
// streams. A coordinator also works, where autoresearch engine runs both over a server; such a worker has no group.
func coordinatorGrant() grant {
	return grant{
		services: []string{
			"ar.journal.*", "ar.rejected.*", bus.TaskAllSubject, "ar.ctl.>", "ar.lead.*", bus.DemandAllSubject, "ar.result.*.*", "ar.up.*", "ar.log.*.*.>",
			"$KV.>", "$O.>", "$JS.FC.>",
			"$JS.API.INFO", "$JS.API.STREAM.DELETE.*", "$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.PURGE.*",
			"$JS.API.STREAM.MSG.GET.*", "$JS.API.STREAM.MSG.DELETE.*",
			createAPI + ">", deleteAPI + "*.*", "$JS.API.CONSUMER.INFO.*.*", nextAPI + "*.*", ackTasks + ">", directGet + ">",
		},
		streams: []string{"ar.up.>", "ar.lead.*", bus.DemandAllSubject, "ar.log.>", "ar.ctl.>"},
		answers: true,
	}
}

// operatorGrant is reading. Of the doorbell nothing is read: to read there is to take.
func operatorGrant() grant {
	return grant{
		services: []string{
			"$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*", createAPI + "*.*", nextAPI + "*.*", deleteAPI + "*.*",
		},
		denied: []string{createAPI + bus.StreamTasks + ".*", nextAPI + bus.StreamTasks + ".*", deleteAPI + bus.StreamTasks + ".*"},
	}
}

// workerGrant is the work of a group: its classes' tasks, its own results, heartbeats and output, and the objects of its runs.
func (u User) workerGrant() grant {
	g := grant{
		services: []string{"ar.up." + u.Group + ".*"},
		denied:   []string{"$O." + bus.BucketFiles + ".>"},
		streams:  []string{"ar.ctl." + u.Group + ".*", bus.ControlAllSubject},
	}
	for _, class := range anyOf(u.Classes) {
		g.services = append(g.services, nextAPI+bus.StreamTasks+"."+class, ackTasks+class+".>")
	}
	for _, run := range anyOf(u.Runs) {
		g.services = append(g.services, "ar.result."+run+"."+u.Group+".*", "ar.log."+run+"."+u.Group+".>")
		for _, bucket := range buckets(run) {
			g.services = append(g.services, objectGrant(bucket, run)...)
		}
	}
	slices.Sort(g.services)
	g.services = slices.Compact(g.services)
	return g
}

// objectGrant is putting and getting of a run's objects. What completes an object has a subject that hides the run.
func objectGrant(bucket, run string) []string {
	chunks, objects, stream := "$O."+bucket+".C."+run+".>", "$O."+bucket+".M.*", bus.ObjectStream(bucket)
	if bucket == "*" {
		stream = bucket
	}
	return []string{chunks, objects, directGet + stream + "." + chunks, directGet + stream + "." + objects}
}

// buckets are a run's stores. A pattern matches no part of a token, so that those of any run are all there are; and one
// subject must match one import only, or it is imported twice.
func buckets(run string) []string {
	if run == "*" {
		return []string{"*"}
	}
	return []string{bus.BucketArtifacts, bus.BucketOutputPrefix + run}
}

// anyOf encodes names as tokens; "*" when there are none.
func anyOf(names []string) []string {
	if len(names) == 0 {
		return []string{"*"}
	}
	tokens := make([]string, len(names))
	for i, name := range names {
		tokens[i] = spec.EncodeName(name)
	}
	return tokens
}
