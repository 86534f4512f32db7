package auth

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// secret is a Secret of Kubernetes with one file in it.
type secret struct {
	name, key string
	data      []byte
}

// secretOf is the Secret that a user's pods mount.
func secretOf(u User, seed []byte) secret {
	name := u.Name()
	if u.Role == RoleWorker && u.Group == GroupDefault {
		name = string(RoleWorker)
	}
	return secret{name: name + "-nats", key: "seed", data: seed}
}

// manifest is the Secret as YAML.
func (s secret) manifest() []byte {
	return fmt.Appendf(nil, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  labels:\n    app.kubernetes.io/part-of: autoresearch\n"+
		"type: Opaque\ndata:\n  %s: %s\n", s.name, s.key, base64.StdEncoding.EncodeToString(s.data))
}

// kustomization lists the Secrets, so that one command applies them all: the namespace is whoever applies them's to say.
func kustomization(secrets []secret) []byte {
	var b strings.Builder
	b.WriteString("# kubectl apply -n autoresearch -k .\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for _, s := range secrets {
		fmt.Fprintf(&b, "  - %s.yaml\n", s.name)
	}
	return []byte(b.String())
}
