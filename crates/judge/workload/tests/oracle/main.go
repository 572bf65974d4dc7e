// What compose-go and Kubernetes' own types make of the cases in ../data, in the form in which the tests of longshore-workload compare.
//
//	go run . compose    ../data/compose    > ../data/compose.json
//	go run . kubernetes ../data/kubernetes > ../data/kubernetes.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// Container is what a service or a container of a pod comes down to.
type Container struct {
	Image           string            `json:"image"`
	Entrypoint      []string          `json:"entrypoint"`
	Command         []string          `json:"command"`
	Environment     map[string]string `json:"environment"`
	Folder          string            `json:"folder"`
	User            string            `json:"user"`
	Groups          []string          `json:"groups"`
	Hostname        string            `json:"hostname"`
	Hosts           []string          `json:"hosts"`
	Labels          map[string]string `json:"labels"`
	Network         string            `json:"network"`
	Ports           []string          `json:"ports"`
	Mounts          []string          `json:"mounts"`
	Files           []string          `json:"files"`
	ReadOnly        bool              `json:"read_only"`
	Terminal        bool              `json:"terminal"`
	Interactive     bool              `json:"interactive"`
	CapAdd          []string          `json:"cap_add"`
	CapDrop         []string          `json:"cap_drop"`
	NoNewPrivileges bool              `json:"no_new_privileges"`
	Seccomp         string            `json:"seccomp"`
	Memory          int64             `json:"memory"`
	Processors      int64             `json:"processors"`
	Processes       int64             `json:"processes"`
	SharedMemory    int64             `json:"shared_memory"`
	Ulimits         []string          `json:"ulimits"`
	Restart         string            `json:"restart"`
	Init            bool              `json:"init"`
	StopSignal      string            `json:"stop_signal"`
	StopMillis      int64             `json:"stop_millis"`
	Health          *Health           `json:"health"`
	Log             string            `json:"log"`
}

// Health is how it is asked.
type Health struct {
	Test                 []string `json:"test"`
	IntervalMillis       int64    `json:"interval"`
	TimeoutMillis        int64    `json:"timeout"`
	StartPeriodMillis    int64    `json:"start_period"`
	StartIntervalMillis  int64    `json:"start_interval"`
	Retries              int64    `json:"retries"`
}

// Case is what became of a case.
type Case struct {
	Error      string                `json:"error,omitempty"`
	Containers map[string]*Container `json:"containers,omitempty"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: oracle compose|kubernetes FOLDER")
		os.Exit(2)
	}
	read := map[string]func(string) (map[string]*Container, error){"compose": compose, "kubernetes": kubernetes}[os.Args[1]]
	folders, err := filepath.Glob(filepath.Join(os.Args[2], "*"))
	if err != nil || read == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	sort.Strings(folders)
	cases := map[string]*Case{}
	for _, folder := range folders {
		folder, _ = filepath.Abs(folder)
		containers, err := read(folder)
		one := &Case{Containers: containers}
		if err != nil {
			one = &Case{Error: err.Error()}
		}
		cases[filepath.Base(folder)] = one
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(cases); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
