package manifests

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// podman plays pods on a network of their own: each has an address, and /etc/hosts stands for Services.
type podman struct {
	t       *testing.T
	dir     string
	network string
	configs map[string]object // the ConfigMaps of the build
	hosts   []object          // hostAliases
	began   time.Time
}

const (
	subnet  = "10.89.77."
	podUser = 65532
)

func newPodman(t *testing.T, objects []object) *podman {
	t.Helper()
	p := &podman{t: t, dir: t.TempDir(), network: "autoresearch-test", configs: named(objects, "ConfigMap"), began: time.Now()}
	// runc and cgroupfs: a machine of CI may have neither systemd nor a recent kernel's limits.
	config := `[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`
	path := filepath.Join(p.dir, "containers.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", path)
	t.Setenv("STORAGE_DRIVER", "vfs")
	_ = exec.Command("podman", "network", "rm", "--force", p.network).Run() // of a test that was killed
	p.must("network", "create", "--subnet", subnet+"0/24", p.network)
	t.Cleanup(func() { p.must("network", "rm", "--force", p.network) })
	return p
}

// says tells whoever watches how far it is.
func (p *podman) says(format string, args ...any) {
	p.t.Helper()
	p.t.Logf("%3.0f s: %s", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// must runs podman and returns what it prints.
func (p *podman) must(args ...string) string {
	p.t.Helper()
	out, err := exec.Command("podman", args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("podman %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// pod is one replica of a workload.
type pod struct {
	name, address string
}

// play starts replica i of a workload as its manifest says, at an address.
func (p *podman) play(workload object, i, host int) pod {
	p.t.Helper()
	started := pod{name: fmt.Sprintf("%v-%d", at(workload, "metadata", "name"), i), address: fmt.Sprint(subnet, host)}
	template := at(workload, "spec", "template").(object)
	spec := maps.Clone(template["spec"].(object))
	spec["hostAliases"] = p.hosts
	// What ends well has ended. Under the Always of a Deployment podman starts an init container again and again, for ever.
	spec["restartPolicy"] = "OnFailure"
	spec["volumes"] = p.volumes(started.name, workload, spec)
	for _, c := range spec["containers"].([]any) {
		p.expand(c.(object))
	}
	documents := []object{{"apiVersion": "v1", "kind": "Pod", "metadata": object{
		"name": started.name,
		// It keeps the init container: podman 4.3 at times removes it before it has seen it end.
		"annotations": object{"io.podman.annotations.init.container.type": "always"},
	}, "spec": spec}}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(configMaps(spec)))) {
		documents = append([]object{p.configs[name]}, documents...)
	}
	var text bytes.Buffer
	for _, d := range documents {
		part, err := yaml.Marshal(d)
		if err != nil {
			p.t.Fatal(err)
		}
		fmt.Fprintf(&text, "---\n%s", part)
	}
	path := filepath.Join(p.dir, started.name+".yaml")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.remove(started) }) // also of what was played in part
	p.must("kube", "play", "--network", p.network, "--ip", started.address, path)
	p.says("%s runs at %s", started.name, started.address)
	return started
}

// remove takes a pod away; of a test that failed its output stays.
func (p *podman) remove(which pod) {
	p.t.Helper()
	if p.t.Failed() {
		out, err := exec.Command("podman", "pod", "logs", "--tail", "40", which.name).CombinedOutput()
		p.t.Logf("%s said (%v):\n%s", which.name, err, out)
	}
	p.must("pod", "rm", "--force", "--time", "1", "--ignore", which.name)
}

// expand puts the values of variables into a container's arguments, as the kubelet does. Its ports are only names, where podman
// would open them on the host.
func (p *podman) expand(container object) {
	delete(container, "ports")
	args, _ := container["args"].([]any)
	env, _ := container["env"].([]any)
	for _, variable := range env {
		value, _ := at(variable, "value").(string)
		if from := at(variable, "valueFrom", "configMapKeyRef"); from != nil {
			value = at(p.configs[at(from, "name").(string)], "data", at(from, "key").(string)).(string)
		}
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg.(string), fmt.Sprintf("$(%v)", at(variable, "name")), value)
		}
	}
}

// volumes gives each volume that can be written a folder of the pod's user, as fsGroup would; podman has neither fsGroup nor
// projected volumes, of which those of one ConfigMap are as good as it.
func (p *podman) volumes(pod string, workload, spec object) (volumes []any) {
	p.t.Helper()
	list, _ := spec["volumes"].([]any)
	claims, _ := at(workload, "spec", "volumeClaimTemplates").([]any)
	for _, c := range claims {
		list = append(slices.Clone(list), object{"name": at(c, "metadata", "name"), "emptyDir": object{}})
	}
	for _, v := range list {
		name := at(v, "name").(string)
		volume := object{"name": name}
		switch {
		case at(v, "projected") != nil:
			sources := at(v, "projected", "sources").([]any)
			if len(sources) != 1 {
				p.t.Fatalf("%s: volume %s has %d sources", pod, name, len(sources))
			}
			volume["configMap"] = at(sources[0], "configMap")
		case at(v, "emptyDir") != nil:
			dir := filepath.Join(p.dir, pod, name)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				p.t.Fatal(err)
			}
			if err := os.Chown(dir, podUser, podUser); err != nil {
				p.t.Fatal(err)
			}
			volume["hostPath"] = object{"path": dir, "type": "Directory"}
		default:
			volume = v.(object)
		}
		volumes = append(volumes, volume)
	}
	return volumes
}

// stop has a container end as the kubelet does: SIGTERM, and SIGKILL after its grace period. The pod's network stays until then,
// which it would not if podman stopped the pod.
func (p *podman) stop(which pod, container string, grace time.Duration) {
	p.t.Helper()
	p.must("stop", "--time", fmt.Sprint(int(grace.Seconds())), which.name+"-"+container)
}

// exitCode is how a pod's only container that runs ended.
func (p *podman) exitCode(which pod, container string) string {
	p.t.Helper()
	return strings.TrimSpace(p.must("inspect", "--format", "{{.State.ExitCode}}", which.name+"-"+container))
}
