package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
	"github.com/sirupsen/logrus"
)

// The environment of every case; the tests have the same.
var environment = []string{"HOME=/home/user", "TAG=1.2", "EMPTY=", "PORT=9000", "FLAG=true"}

func compose(folder string) (map[string]*Container, error) {
	logrus.SetLevel(logrus.ErrorLevel)
	// For `~`.
	os.Setenv("HOME", "/home/user")
	var files []string
	for _, name := range []string{"compose.yaml", "compose.override.yaml"} {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			files = append(files, path)
		}
	}
	options, err := cli.NewProjectOptions(files,
		cli.WithWorkingDirectory(folder),
		cli.WithName("case"),
		cli.WithEnv(environment),
		cli.WithEnvFiles(),
		cli.WithDotEnv,
		cli.WithResolvedPaths(true),
		cli.WithProfiles([]string{"*"}),
	)
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), folder, "$DIR"))
	}
	containers := map[string]*Container{}
	for name, service := range project.Services {
		containers[name] = container(project, service, folder)
	}
	return containers, nil
}

func millis(duration *types.Duration) int64 {
	if duration == nil {
		return 0
	}
	return time.Duration(*duration).Milliseconds()
}

func sorted(list []string) []string {
	list = append([]string{}, list...)
	sort.Strings(list)
	return list
}

func container(project *types.Project, s types.ServiceConfig, folder string) *Container {
	local := func(path string) string {
		return strings.ReplaceAll(strings.ReplaceAll(path, folder, "$DIR"), filepath.Dir(folder), "$PARENT")
	}
	c := &Container{
		Image: s.Image, Entrypoint: s.Entrypoint, Command: s.Command, Folder: s.WorkingDir, User: s.User,
		Groups: append([]string{}, s.GroupAdd...), Hostname: s.Hostname, ReadOnly: s.ReadOnly, Terminal: s.Tty, Interactive: s.StdinOpen,
		CapAdd: sorted(s.CapAdd), CapDrop: sorted(s.CapDrop), SharedMemory: int64(s.ShmSize), StopSignal: s.StopSignal,
		StopMillis: millis(s.StopGracePeriod), Init: s.Init != nil && *s.Init,
		Environment: map[string]string{}, Labels: map[string]string{}, Seccomp: "default", Network: "own",
		Hosts: []string{}, Ports: []string{}, Mounts: []string{}, Files: []string{}, Ulimits: []string{},
	}
	for name, value := range s.Environment {
		if value != nil {
			c.Environment[name] = *value
		}
	}
	for name, value := range s.Labels {
		c.Labels[name] = value
	}
	for name, addresses := range s.ExtraHosts {
		for _, address := range addresses {
			c.Hosts = append(c.Hosts, name+" "+address)
		}
	}
	sort.Strings(c.Hosts)
	switch s.NetworkMode {
	case "host", "none":
		c.Network = s.NetworkMode
	}
	for _, port := range s.Ports {
		host := port.Published
		if host == "" || strings.Contains(host, "-") {
			host = "-"
		}
		c.Ports = append(c.Ports, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", port.HostIP, host, port.Target, port.Protocol)))
	}
	if c.Network != "own" {
		c.Ports = []string{}
	}
	sort.Strings(c.Ports)
	mounts(c, project, s, local)
	for _, option := range s.SecurityOpt {
		switch {
		case option == "no-new-privileges:true" || option == "no-new-privileges":
			c.NoNewPrivileges = true
		case option == "seccomp:unconfined" || option == "seccomp=unconfined":
			c.Seccomp = "unconfined"
		}
	}
	limits(c, s)
	c.Restart = restart(s)
	if s.HealthCheck != nil {
		h := s.HealthCheck
		c.Health = &Health{Test: append([]string{}, h.Test...), IntervalMillis: millis(h.Interval), TimeoutMillis: millis(h.Timeout),
			StartPeriodMillis: millis(h.StartPeriod), StartIntervalMillis: millis(h.StartInterval)}
		if h.Retries != nil {
			c.Health.Retries = int64(*h.Retries)
		}
		if h.Disable {
			c.Health.Test = []string{"NONE"}
		}
	}
	if s.Logging != nil && (s.Logging.Driver == "json-file" || s.Logging.Driver == "local" || s.Logging.Driver == "") {
		size, _ := units.RAMInBytes(s.Logging.Options["max-size"])
		if files := s.Logging.Options["max-file"]; size > 0 || files != "" {
			c.Log = fmt.Sprintf("%d %s", max(size, 0), files)
		}
	}
	return c
}

func mounts(c *Container, project *types.Project, s types.ServiceConfig, local func(string) string) {
	for _, volume := range s.Volumes {
		line := ""
		switch volume.Type {
		case "bind":
			line = fmt.Sprintf("%s bind %s", volume.Target, local(volume.Source))
		case "volume":
			line = fmt.Sprintf("%s volume %s", volume.Target, volume.Source)
		case "tmpfs":
			line = volume.Target + " tmpfs"
			if volume.Tmpfs != nil {
				line += fmt.Sprintf(" %d %o", volume.Tmpfs.Size, volume.Tmpfs.Mode)
			} else {
				line += " 0 0"
			}
		default:
			continue
		}
		if volume.ReadOnly {
			line += " ro"
		}
		c.Mounts = append(c.Mounts, line)
	}
	for _, entry := range s.Tmpfs {
		target, options, _ := strings.Cut(entry, ":")
		size, mode := int64(0), "0"
		for _, option := range strings.Split(options, ",") {
			if text, is := strings.CutPrefix(option, "size="); is {
				size, _ = units.RAMInBytes(text)
			}
			if text, is := strings.CutPrefix(option, "mode="); is {
				mode = text
			}
		}
		c.Mounts = append(c.Mounts, fmt.Sprintf("%s tmpfs %d %s", target, size, mode))
	}
	for _, secret := range s.Secrets {
		defined := project.Secrets[secret.Source]
		target := secret.Target
		if target == "" {
			target = secret.Source
		}
		if !strings.HasPrefix(target, "/") {
			target = "/run/secrets/" + target
		}
		file(c, target, local(defined.File), defined.Content)
	}
	for _, config := range s.Configs {
		defined := project.Configs[config.Source]
		target := config.Target
		if target == "" {
			target = config.Source
		}
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
		file(c, target, local(defined.File), defined.Content)
	}
	sort.Strings(c.Mounts)
	sort.Strings(c.Files)
}

func file(c *Container, target, path, content string) {
	if path != "" {
		c.Mounts = append(c.Mounts, fmt.Sprintf("%s bind %s ro", target, path))
	} else if content != "" {
		c.Files = append(c.Files, target+" "+content)
	}
}

func limits(c *Container, s types.ServiceConfig) {
	c.Memory, c.Processors, c.Processes = int64(s.MemLimit), int64(float64(s.CPUS)*1000+0.5), s.PidsLimit
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		l := s.Deploy.Resources.Limits
		if l.MemoryBytes > 0 {
			c.Memory = int64(l.MemoryBytes)
		}
		if l.NanoCPUs > 0 {
			c.Processors = int64(float64(l.NanoCPUs)*1000 + 0.5)
		}
		if l.Pids > 0 {
			c.Processes = l.Pids
		}
	}
	if c.Processes < 0 {
		c.Processes = 0
	}
	for name, limit := range s.Ulimits {
		soft, hard := limit.Soft, limit.Hard
		if limit.Single != 0 {
			soft, hard = limit.Single, limit.Single
		}
		c.Ulimits = append(c.Ulimits, fmt.Sprintf("%s %d %d", name, soft, hard))
	}
	sort.Strings(c.Ulimits)
}

func restart(s types.ServiceConfig) string {
	if s.Restart != "" {
		return s.Restart
	}
	if s.Deploy == nil || s.Deploy.RestartPolicy == nil {
		return "no"
	}
	switch policy := s.Deploy.RestartPolicy; policy.Condition {
	case "none":
		return "no"
	case "on-failure":
		if policy.MaxAttempts != nil {
			return fmt.Sprintf("on-failure:%d", *policy.MaxAttempts)
		}
		return "on-failure"
	default:
		return "unless-stopped"
	}
}
