// Package k8s holds the test of the overlays on a real API server, scheduler and controllers. Nodes are fakes by KWOK: no
// container runs, no probe is asked, no volume is mounted.
package k8s

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tools is where the programs of the control plane lie; without it the test is skipped.
var tools = flag.String("tools", "", "`DIR` of kube, kwok and kustomize, as make k8s-test builds them")

// patience is how long controllers may take for anything: seconds, where the machine has little else to do.
const patience = 3 * time.Minute

// cluster is a control plane on the loopback, with its data in a folder of the test.
type cluster struct {
	t                *testing.T
	dir, api, config string
}

// startCluster brings up etcd, API server, controllers, scheduler and KWOK.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), api: "https://" + free(t)}
	c.config = filepath.Join(c.dir, "kubeconfig")
	etcd, peer := "http://"+free(t), "http://"+free(t)
	c.run("kube", "etcd", "--data-dir", c.file("etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer,
		"--unsafe-no-fsync", "--log-level", "error")
	c.write("tokens", "admin-token,admin,1,system:masters\n")
	c.write("kubeconfig", fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q, "insecure-skip-tls-verify": true}}],
		"users": [{"name": "u", "user": {"token": "admin-token"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}`, c.api))
	c.key("sa.key")
	c.run("kube", "kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", port(c.api),
		"--cert-dir", c.file("api"), "--token-auth-file", c.file("tokens"), "--authorization-mode", "RBAC",
		"--service-cluster-ip-range", "10.96.0.0/16", "--endpoint-reconciler-type", "none",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", c.file("sa.key"),
		"--service-account-signing-key-file", c.file("sa.key"))
	c.eventually("the API server is ready", func() bool { _, _, err := c.try("get", "--raw", "/readyz"); return err == nil })
	c.run("kube", "kube-controller-manager", "--kubeconfig", c.config, "--cert-dir", c.file("manager"), "--bind-address", "127.0.0.1",
		"--secure-port", port(free(t)), "--leader-elect=false", "--service-account-private-key-file", c.file("sa.key"))
	c.run("kube", "kube-scheduler", "--kubeconfig", c.config, "--cert-dir", c.file("scheduler"), "--bind-address", "127.0.0.1",
		"--secure-port", port(free(t)), "--leader-elect=false")
	kwok := []string{"kwok", "--kubeconfig", c.config, "--manage-all-nodes", "--node-lease-duration-seconds", "40",
		"--server-address", free(t)}
	for _, stage := range []string{"node/fast", "node/heartbeat-with-lease", "pod/fast"} {
		files, err := filepath.Glob(filepath.Join(module(t, "sigs.k8s.io/kwok"), "kustomize/stage", stage, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if filepath.Base(file) != "kustomization.yaml" {
				kwok = append(kwok, "--config", file)
			}
		}
	}
	c.run(kwok...)
	return c
}

func (c *cluster) file(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) write(name, text string) string {
	c.t.Helper()
	if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return c.file(name)
}

// key writes a private key for the tokens of service accounts.
func (c *cluster) key(name string) {
	c.t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		c.t.Fatal(err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}
	c.write(name, string(pem.EncodeToMemory(block)))
}

// run starts a program of the control plane; it ends with the test.
func (c *cluster) run(args ...string) {
	c.t.Helper()
	name := args[min(1, len(args)-1)]
	if args[0] != "kube" {
		name = args[0]
	}
	log, err := os.Create(c.file(name + ".log"))
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(*tools, args[0]), args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which its log tells
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); c.t.Failed() && err == nil {
			c.t.Logf("%s said:\n%s", name, text[max(0, len(text)-1500):])
		}
	})
}

// try runs kubectl.
func (c *cluster) try(args ...string) (out, complaints string, err error) {
	cmd := exec.Command(filepath.Join(*tools, "kube"), append([]string{"kubectl", "--kubeconfig", c.config}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+c.dir)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// must runs kubectl, which must succeed and warn of nothing: the profile restricted only warns about Deployments.
func (c *cluster) must(args ...string) string {
	c.t.Helper()
	out, complaints, err := c.try(args...)
	if err != nil || strings.Contains(complaints, "Warning") {
		c.t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, out, complaints)
	}
	return out
}

// get decodes what kubectl get answers.
func (c *cluster) get(to any, args ...string) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.must(append([]string{"get", "-o", "json"}, args...)...)), to); err != nil {
		c.t.Fatal(err)
	}
}

// eventually waits for something that controllers do.
func (c *cluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("it never happened: %s", what)
		}
	}
}

// module is where the files of a module of go.mod lie.
func module(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return strings.TrimSpace(string(out))
}

// free returns an address of the loopback where nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }
