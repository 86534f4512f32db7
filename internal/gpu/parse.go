package gpu

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What nvidia-smi is asked for. Older drivers do not know the fields behind the first ones.
const (
	fieldsKnown  = "uuid,name,pci.bus_id,driver_version,memory.used"
	fieldsHealth = ",ecc.errors.uncorrected.volatile.total,mig.mode.current"
)

// row is what nvidia-smi says of one GPU.
type row struct {
	device Device
	state  State
	mig    bool
}

// parseGPUs reads the answer to --query-gpu, as csv without header and units. Lines that are no row are passed over:
// nvidia-smi complains of one GPU between the rows of the others.
func parseGPUs(text string) (rows []row) {
	for line := range strings.Lines(text) {
		fields := cells(line)
		if len(fields) < 5 || !strings.HasPrefix(fields[0], "GPU-") {
			continue
		}
		r := row{device: Device{UUID: fields[0], Parent: fields[0], Model: fields[1], Driver: fields[3]}}
		r.state = State{UUID: fields[0], Bus: busOf(fields[2]), MemoryUsed: -1, Uncorrected: -1}
		r.state.MemoryUsed = r.state.value(fields[4])
		if len(fields) > 6 {
			r.state.Uncorrected = r.state.value(fields[5])
			r.mig = fields[6] == "Enabled"
		}
		rows = append(rows, r)
	}
	return rows
}

func cells(line string) []string {
	fields := strings.Split(line, ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields
}

// value reads a number. Words in its place say that the GPU has no such number, or that it is sick.
func (s *State) value(field string) int64 {
	if n, ok := number(field); ok {
		return n
	}
	words := strings.Trim(field, "[]")
	if !slices.Contains([]string{"N/A", "Not Supported", "Insufficient Permissions", ""}, words) {
		s.Sick = words
	}
	return -1
}

func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// busOf writes a PCI address as the kernel's log does: 00000000:3B:00.0 is 0000:3b:00.
func busOf(address string) string {
	address, _, _ = strings.Cut(strings.ToLower(address), ".")
	domain, rest, found := strings.Cut(address, ":")
	if !found {
		return address
	}
	return domain[max(0, len(domain)-4):] + ":" + rest
}

// parseProcesses reads the answer to --query-compute-apps=pid,gpu_uuid.
func parseProcesses(text string, gpus map[string]State) {
	for line := range strings.Lines(text) {
		fields := cells(line)
		if len(fields) != 2 {
			continue
		}
		pid, ok := number(fields[0])
		if state, known := gpus[fields[1]]; ok && known {
			state.Processes = append(state.Processes, int(pid))
			gpus[fields[1]] = state
		}
	}
}

var (
	listedGPU = regexp.MustCompile(`^GPU \d+: .*\(UUID: (GPU-[^)]+)\)`)
	listedMIG = regexp.MustCompile(`^\s+MIG (\S+) .*\(UUID: (MIG-[^)]+)\)`)
)

// parseInstances reads the answer to -L: the MIG instances of each GPU.
func parseInstances(text string, rows []row) (instances []Device) {
	var parent Device
	for line := range strings.Lines(text) {
		if found := listedGPU.FindStringSubmatch(line); found != nil {
			at := slices.IndexFunc(rows, func(r row) bool { return r.device.UUID == found[1] && r.mig })
			parent = Device{}
			if at >= 0 {
				parent = rows[at].device
			}
		}
		if found := listedMIG.FindStringSubmatch(line); found != nil && parent.UUID != "" {
			instances = append(instances, Device{
				UUID: found[2], Parent: parent.UUID, Model: parent.Model + " MIG " + found[1], Driver: parent.Driver,
			})
		}
	}
	return instances
}
