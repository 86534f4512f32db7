package auth

import (
	"fmt"
	"strings"
)

// The accounts. JetStream keeps streams by account: one that is renamed has none.
const (
	accountMain   = "autoresearch"
	accountPrefix = accountMain + "-"
)

// account is where the user lives.
func (u User) account() string {
	if u.Role == RoleCoordinator {
		return accountMain
	}
	return accountPrefix + u.Name()
}

// serverConfig is the part of a NATS server's configuration that says who there is. It holds public keys only.
func serverConfig(users []User) string {
	var b strings.Builder
	b.WriteString("# Made by \"autoresearch auth\" and written anew at each of its changes. A server's configuration includes it:\n" +
		"#   include \"auth.conf\"\naccounts {\n")
	var own []User
	for _, u := range users {
		if u.Role == RoleCoordinator {
			own = append(own, u)
		}
	}
	writeMain(&b, own)
	for _, u := range users {
		if u.Role != RoleCoordinator {
			writeAccount(&b, u)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// writeMain writes the account that holds the streams.
func writeMain(b *strings.Builder, users []User) {
	fmt.Fprintf(b, "  %q: {\n    jetstream: enabled\n    users: [\n", accountMain)
	for _, u := range users {
		writeUser(b, u)
	}
	b.WriteString("    ]\n    exports: [\n")
	for _, e := range exports {
		fmt.Fprintf(b, "      {service: %q", e.subject)
		if e.stream {
			b.WriteString(", response_type: stream")
		}
		b.WriteString("}\n")
	}
	for _, subject := range exportedStreams {
		fmt.Fprintf(b, "      {stream: %q}\n", subject)
	}
	b.WriteString("    ]\n  }\n")
}

// local is what a subject of the coordinators' account is called in the user's.
func (u User) local(subject string) string {
	if rest, api := strings.CutPrefix(subject, streamAPI); api {
		return u.APIPrefix() + rest
	}
	return subject
}

func (u User) renamed(subject string) string {
	if local := u.local(subject); local != subject {
		return fmt.Sprintf(", to: %q", local)
	}
	return ""
}

// writeAccount writes a user's own account.
func writeAccount(b *strings.Builder, u User) {
	fmt.Fprintf(b, "  %q: {\n    users: [\n", u.account())
	writeUser(b, u)
	b.WriteString("    ]\n    imports: [\n")
	g := u.grant()
	for _, subject := range g.services {
		fmt.Fprintf(b, "      {service: {account: %q, subject: %q}%s}\n", accountMain, subject, u.renamed(subject))
	}
	for _, subject := range g.streams {
		fmt.Fprintf(b, "      {stream: {account: %q, subject: %q}}\n", accountMain, subject)
	}
	b.WriteString("    ]\n  }\n")
}

func writeUser(b *strings.Builder, u User) {
	g := u.grant()
	fmt.Fprintf(b, "      { # %s\n        nkey: %s\n        permissions: {\n          publish: {\n", u.Name(), u.Key)
	u.writeSubjects(b, "allow", g.services)
	u.writeSubjects(b, "deny", g.denied)
	b.WriteString("          }\n          subscribe: {\n")
	u.writeSubjects(b, "allow", append([]string{u.InboxPrefix() + ".>"}, g.streams...))
	b.WriteString("          }\n")
	if g.answers {
		b.WriteString("          allow_responses: true\n")
	}
	b.WriteString("        }\n      }\n")
}

func (u User) writeSubjects(b *strings.Builder, name string, subjects []string) {
	if len(subjects) == 0 {
		return
	}
	fmt.Fprintf(b, "            %s: [\n", name)
	for _, subject := range subjects {
		fmt.Fprintf(b, "              %q\n", u.local(subject))
	}
	b.WriteString("            ]\n")
}

// TLSPaths are files of a server as it sees them.
type TLSPaths struct{ CA, Cert, Key string }

// clientTLS is the tls block for clients: they are told apart by their keys, so they need no certificates.
func (p TLSPaths) clientTLS() string { return p.block(false) }

// routeTLS is the tls block of the cluster: a route comes from a server with a certificate of the authority.
func (p TLSPaths) routeTLS() string { return p.block(true) }

func (p TLSPaths) block(verify bool) string {
	text := fmt.Sprintf("tls {\n  cert_file: %q\n  key_file: %q\n", p.Cert, p.Key)
	if p.CA != "" {
		text += fmt.Sprintf("  ca_file: %q\n", p.CA)
	}
	if verify {
		text += "  verify: true\n"
	}
	return text + "}\n"
}
