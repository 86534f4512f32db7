package k8s

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root      = "../.."
	namespace = "autoresearch"
)

// pods is what is asked of a list of pods.
type pods struct{ Items []pod }

type pod struct {
	Metadata struct{ Name string }
	Spec     struct{ NodeName string }
	Status   struct{ Phase string }
}

// TestOverlays applies each overlay as a person would and waits until all of it is rolled out.
func TestOverlays(t *testing.T) {
	if *tools == "" {
		t.Skip("it runs in make k8s-test")
	}
	c := startCluster(t)
	c.crds()
	for i := range 4 {
		c.node(fmt.Sprintf("cpu-%d", i), 0)
	}
	for i := range 2 {
		c.node(fmt.Sprintf("gpu-%d", i), 8)
	}
	overlays := root + "/deploy/k8s/overlays/"
	folders := map[string]string{
		"dev": overlays + "dev", "prod": overlays + "prod", "spot": overlays + "spot", "own-nats": root + "/test/manifests/testdata/own-nats",
	}
	for _, overlay := range slices.Sorted(maps.Keys(folders)) {
		t.Run(overlay, func(t *testing.T) {
			on := *c
			on.t = t
			t.Cleanup(func() { on.must("delete", "namespace", namespace, "--timeout="+patience.String()) })
			on.volumes(overlay)
			if overlay == "prod" {
				on.credentials()
			}
			on.apply(overlay, folders[overlay])
			on.rolledOut()
			switch overlay {
			case "dev", "own-nats":
				on.must("wait", "job/submit-charlm", "-n", namespace, "--for=condition=complete", "--timeout="+patience.String())
			case "prod":
				on.secretsAreThere()
				on.gpusPack()
				on.drainKeepsBudget()
			case "spot":
				on.spotWorkersGoWhereTheyMay()
			}
		})
	}
}

// crds installs what the components are made of; nobody acts on it here.
func (c *cluster) crds() {
	c.t.Helper()
	for _, crd := range []string{
		"github.com/kedacore/keda/v2@v2.21.0:config/crd/bases/keda.sh_scaledobjects.yaml",
		"github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
		"github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
		"github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
		"github.com/cert-manager/cert-manager@v1.21.2:deploy/crds/cert-manager.io_certificates.yaml",
		"github.com/cert-manager/cert-manager@v1.21.2:deploy/crds/cert-manager.io_issuers.yaml",
	} {
		at, file, _ := strings.Cut(crd, ":")
		c.must("apply", "--server-side", "-f", filepath.Join(download(c.t, at), file))
	}
	c.eventually("the CRDs are served", func() bool {
		_, _, err := c.try("get", "scaledobjects,prometheusrules,servicemonitors,podmonitors,certificates,issuers", "-A")
		return err == nil
	})
}

// download is where the files of MODULE@VERSION lie.
func download(t *testing.T, at string) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", at)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	_, after, _ := strings.Cut(string(out), `"Dir": "`)
	dir, _, _ := strings.Cut(after, `"`)
	return dir
}

// node adds a fake node with GPUs, in a zone of its own number.
func (c *cluster) node(name string, gpus int) {
	c.t.Helper()
	room := fmt.Sprintf(`{"cpu": "192", "memory": "2Ti", "pods": "110", "ephemeral-storage": "2Ti", "nvidia.com/gpu": "%d"}`, gpus)
	c.must("apply", "-f", c.write(name+".json", fmt.Sprintf(`{"apiVersion": "v1", "kind": "Node",
		"metadata": {"name": %q, "labels": {"kubernetes.io/hostname": %q, "topology.kubernetes.io/zone": %q, "autoresearch/spot": "%t"},
			"annotations": {"kwok.x-k8s.io/node": "fake"}},
		"status": {"allocatable": %s, "capacity": %s}}`, name, name, "zone-"+name[len(name)-1:], gpus > 0, room, room)))
}

// volumes makes what a provisioner would: one volume for each claim.
func (c *cluster) volumes(overlay string) {
	c.t.Helper()
	modes := []string{"ReadWriteOncePod", "ReadWriteOncePod", "ReadWriteOncePod", "ReadWriteMany"}
	switch overlay {
	case "dev":
		modes = []string{"ReadWriteOnce"}
	case "own-nats":
		modes = nil
	}
	for i, mode := range modes {
		name := fmt.Sprintf("%s-%d", overlay, i)
		c.must("apply", "-f", c.write(name+".json", fmt.Sprintf(`{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": %q},
			"spec": {"capacity": {"storage": "1Ti"}, "accessModes": [%q], "persistentVolumeReclaimPolicy": "Delete",
				"csi": {"driver": "fake.example.com", "volumeHandle": %q}}}`, name, mode, name)))
	}
}

// credentials makes the Secrets as the handbook says.
func (c *cluster) credentials() {
	c.t.Helper()
	dir := c.file("auth")
	if out, err := exec.Command("go", "-C", root, "run", "./cmd/autoresearch", "auth", "init", dir).CombinedOutput(); err != nil {
		c.t.Fatalf("auth init: %v\n%s", err, out)
	}
	c.must("apply", "-f", root+"/deploy/k8s/base/namespace.yaml")
	c.must("apply", "-n", namespace, "-k", dir+"/kubernetes")
}

// secretsAreThere: whatever Secret a pod mounts has been made, but for those of cert-manager.
func (c *cluster) secretsAreThere() {
	c.t.Helper()
	named := c.must("get", "statefulset,deployment", "-n", namespace, "-o", "jsonpath={..secretName} {..sources[*].secret.name}")
	names := slices.DeleteFunc(strings.Fields(named), func(name string) bool { return name == "nats-tls" })
	if len(names) < 4 {
		c.t.Fatalf("pods mount %q", named)
	}
	c.must(append([]string{"get", "secret", "-n", namespace}, names...)...)
}

// apply applies a folder as a person would, twice: the second time changes nothing.
func (c *cluster) apply(overlay, folder string) {
	c.t.Helper()
	out, err := exec.Command(filepath.Join(*tools, "kustomize"), "build", folder).Output()
	if err != nil {
		c.t.Fatalf("kustomize: %v", err)
	}
	c.must("apply", "-f", c.write(overlay+".yaml", string(out)))
	before := c.generations()
	c.must("apply", "-f", c.file(overlay+".yaml"))
	if after := c.generations(); after != before {
		c.t.Errorf("applied again, it is another\n%s\n%s", before, after)
	}
}

// generations grow when what is wanted changes: what kubectl says of it is not to be relied on.
func (c *cluster) generations() string {
	c.t.Helper()
	return c.must("get", "statefulset,deployment,job,poddisruptionbudget,networkpolicy", "-n", namespace,
		"-o", "jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.generation} {end}")
}

// rolledOut waits for every workload of the namespace.
func (c *cluster) rolledOut() {
	c.t.Helper()
	for workload := range strings.FieldsSeq(c.must("get", "statefulset,deployment", "-n", namespace, "-o", "name")) {
		c.must("rollout", "status", workload, "-n", namespace, "--timeout="+patience.String())
	}
}

func (c *cluster) pods(selector string) (p pods) {
	c.t.Helper()
	c.get(&p, "pods", "-n", namespace, "-l", selector)
	return p
}

// gpusPack: as many workers as there are GPUs find a place, and one more waits.
func (c *cluster) gpusPack() {
	c.t.Helper()
	const selector = "autoresearch/class=gpu"
	running := func() map[string]int {
		nodes := make(map[string]int)
		for _, p := range c.pods(selector).Items {
			if p.Status.Phase == "Running" {
				nodes[p.Spec.NodeName]++
			}
		}
		return nodes
	}
	c.must("scale", "deployment/worker-gpu", "-n", namespace, "--replicas=17")
	c.eventually("16 workers run on 16 GPUs", func() bool { n := running(); return n["gpu-0"] == 8 && n["gpu-1"] == 8 })
	c.eventually("the 17th is pending", func() bool {
		return slices.ContainsFunc(c.pods(selector).Items, func(p pod) bool {
			return p.Status.Phase == "Pending" && p.Spec.NodeName == ""
		})
	})
	c.must("scale", "deployment/worker-gpu", "-n", namespace, "--replicas=1")
}

// drainKeepsBudget: of two NATS servers that are to go at one time one has to wait, and both nodes are drained in the end.
func (c *cluster) drainKeepsBudget() {
	c.t.Helper()
	evict := func(name string) (string, error) {
		text := fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q, "namespace": %q}}`, name, namespace)
		_, complaints, err := c.try("create", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", namespace, name),
			"-f", c.write("eviction.json", text))
		return complaints, err
	}
	nodes := strings.Fields(c.must("get", "nodes", "-o", "name"))
	c.must(append([]string{"cordon"}, nodes...)...) // what is evicted finds no other place yet
	if complaints, err := evict("nats-0"); err != nil {
		c.t.Fatalf("evict nats-0: %v\n%s", err, complaints)
	}
	if complaints, err := evict("nats-1"); err == nil || !strings.Contains(complaints, "disruption budget") {
		c.t.Errorf("nats-1 was evicted beside nats-0 (%v)\n%s", err, complaints)
	}
	c.must(append([]string{"uncordon"}, nodes...)...)
	c.rolledOut()
	node := c.pods("app.kubernetes.io/name=nats").Items[0].Spec.NodeName
	c.must("drain", node, "--delete-emptydir-data", "--timeout="+patience.String())
	c.rolledOut()
	for _, p := range c.pods("app.kubernetes.io/part-of=autoresearch").Items {
		if p.Spec.NodeName == node {
			c.t.Errorf("%s runs on the node that was drained", p.Metadata.Name)
		}
	}
	c.must("uncordon", node)
}

func (c *cluster) spotWorkersGoWhereTheyMay() {
	c.t.Helper()
	for _, p := range c.pods("autoresearch/class=gpu").Items {
		if !strings.HasPrefix(p.Spec.NodeName, "gpu-") {
			c.t.Errorf("%s runs on %s", p.Metadata.Name, p.Spec.NodeName)
		}
	}
}
