package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

var separator = regexp.MustCompile(`(?m)^---.*$`)

type manifests struct {
	containers map[string]*Container
	configs    map[string]*core.ConfigMap
	secrets    map[string]*core.Secret
	pods       map[string]*core.PodSpec
}

func kubernetes(folder string) (map[string]*Container, error) {
	text, err := os.ReadFile(filepath.Join(folder, "manifest.yaml"))
	if err != nil {
		return nil, err
	}
	all := &manifests{map[string]*Container{}, map[string]*core.ConfigMap{}, map[string]*core.Secret{}, map[string]*core.PodSpec{}}
	for _, document := range separator.Split(string(text), -1) {
		if len(bytes.TrimSpace([]byte(document))) == 0 {
			continue
		}
		if err := all.add([]byte(document)); err != nil {
			return nil, err
		}
	}
	for name, pod := range all.pods {
		for i := range pod.Containers {
			container, err := all.container(pod, &pod.Containers[i])
			if err != nil {
				return nil, err
			}
			all.containers[name+"/"+pod.Containers[i].Name] = container
		}
	}
	return all.containers, nil
}

func (m *manifests) add(document []byte) error {
	var object struct {
		Kind     string
		Metadata struct{ Name string }
		Items    []any
	}
	if err := yaml.Unmarshal(document, &object); err != nil {
		return err
	}
	if object.Kind == "List" {
		for _, item := range object.Items {
			text, err := yaml.Marshal(item)
			if err != nil {
				return err
			}
			if err := m.add(text); err != nil {
				return err
			}
		}
		return nil
	}
	name := object.Kind + "/" + object.Metadata.Name
	// As kubectl and the API server do it: to JSON without a look at types, and then strictly into them.
	read := func(into any) error {
		text, err := yaml.YAMLToJSON(document)
		if err != nil {
			return err
		}
		strict, err := json.UnmarshalStrict(text, into)
		if err != nil {
			return err
		}
		return errors.Join(strict...)
	}
	switch object.Kind {
	case "Pod":
		var typed core.Pod
		err := read(&typed)
		m.pods[name] = &typed.Spec
		return err
	case "Deployment":
		var typed apps.Deployment
		err := read(&typed)
		m.pods[name] = &typed.Spec.Template.Spec
		return err
	case "StatefulSet":
		var typed apps.StatefulSet
		err := read(&typed)
		m.pods[name] = &typed.Spec.Template.Spec
		return err
	case "DaemonSet":
		var typed apps.DaemonSet
		err := read(&typed)
		m.pods[name] = &typed.Spec.Template.Spec
		return err
	case "Job":
		var typed batch.Job
		err := read(&typed)
		m.pods[name] = &typed.Spec.Template.Spec
		return err
	case "CronJob":
		var typed batch.CronJob
		err := read(&typed)
		m.pods[name] = &typed.Spec.JobTemplate.Spec.Template.Spec
		return err
	case "ConfigMap":
		var typed core.ConfigMap
		err := read(&typed)
		m.configs[typed.Name] = &typed
		return err
	case "Secret":
		var typed core.Secret
		err := read(&typed)
		if typed.Data == nil {
			typed.Data = map[string][]byte{}
		}
		for key, value := range typed.StringData {
			typed.Data[key] = []byte(value)
		}
		m.secrets[typed.Name] = &typed
		return err
	case "":
		return fmt.Errorf("no kind")
	}
	return nil
}

func (m *manifests) container(pod *core.PodSpec, s *core.Container) (*Container, error) {
	c := &Container{
		Image: s.Image, Entrypoint: s.Command, Command: s.Args, Folder: s.WorkingDir, Environment: map[string]string{},
		Groups: []string{}, Hostname: pod.Hostname, Hosts: []string{}, Labels: map[string]string{}, Network: "own", Ports: []string{},
		Mounts: []string{}, Files: []string{}, Terminal: s.TTY, Interactive: s.Stdin, CapAdd: []string{}, CapDrop: []string{},
		Seccomp: "unconfined", Ulimits: []string{}, Restart: "always", StopMillis: 30000, Health: &Health{Test: []string{"NONE"}},
	}
	if pod.HostNetwork {
		c.Network = "host"
	}
	switch pod.RestartPolicy {
	case "Never":
		c.Restart = "no"
	case "OnFailure":
		c.Restart = "on-failure"
	}
	if pod.TerminationGracePeriodSeconds != nil {
		c.StopMillis = *pod.TerminationGracePeriodSeconds * 1000
	}
	for _, alias := range pod.HostAliases {
		for _, name := range alias.Hostnames {
			c.Hosts = append(c.Hosts, name+" "+alias.IP)
		}
	}
	sort.Strings(c.Hosts)
	c.Memory = s.Resources.Limits.Memory().Value()
	c.Processors = s.Resources.Limits.Cpu().MilliValue()
	m.security(c, pod, s)
	m.environment(c, s)
	if err := m.volumes(c, pod, s); err != nil {
		return nil, err
	}
	probe := s.ReadinessProbe
	if probe == nil {
		probe = s.StartupProbe
	}
	if probe == nil {
		probe = s.LivenessProbe
	}
	if probe != nil && probe.Exec != nil {
		timeout := int64(probe.TimeoutSeconds)
		if timeout == 0 {
			timeout = 1
		}
		c.Health = &Health{Test: append([]string{"CMD"}, probe.Exec.Command...), TimeoutMillis: timeout * 1000}
	}
	return c, nil
}

func (m *manifests) security(c *Container, pod *core.PodSpec, s *core.Container) {
	outer, own := pod.SecurityContext, s.SecurityContext
	if outer == nil {
		outer = &core.PodSecurityContext{}
	}
	if own == nil {
		own = &core.SecurityContext{}
	}
	user, group, profile := own.RunAsUser, own.RunAsGroup, own.SeccompProfile
	if user == nil {
		user = outer.RunAsUser
	}
	if group == nil {
		group = outer.RunAsGroup
	}
	if profile == nil {
		profile = outer.SeccompProfile
	}
	if user != nil {
		c.User = fmt.Sprint(*user)
		if group != nil {
			c.User += fmt.Sprintf(":%d", *group)
		}
	}
	if profile != nil && profile.Type == "RuntimeDefault" {
		c.Seccomp = "default"
	}
	for _, group := range outer.SupplementalGroups {
		c.Groups = append(c.Groups, fmt.Sprint(group))
	}
	if outer.FSGroup != nil {
		c.Groups = append(c.Groups, fmt.Sprint(*outer.FSGroup))
	}
	c.ReadOnly = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
	c.NoNewPrivileges = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	if own.Capabilities != nil {
		for _, name := range own.Capabilities.Add {
			c.CapAdd = append(c.CapAdd, string(name))
		}
		for _, name := range own.Capabilities.Drop {
			c.CapDrop = append(c.CapDrop, string(name))
		}
		sort.Strings(c.CapAdd)
		sort.Strings(c.CapDrop)
	}
}

func (m *manifests) environment(c *Container, s *core.Container) {
	for _, from := range s.EnvFrom {
		if from.ConfigMapRef != nil && m.configs[from.ConfigMapRef.Name] != nil {
			for key, value := range m.configs[from.ConfigMapRef.Name].Data {
				c.Environment[from.Prefix+key] = value
			}
		}
		if from.SecretRef != nil && m.secrets[from.SecretRef.Name] != nil {
			for key, value := range m.secrets[from.SecretRef.Name].Data {
				c.Environment[from.Prefix+key] = string(value)
			}
		}
	}
	for _, variable := range s.Env {
		from := variable.ValueFrom
		switch {
		case from == nil:
			c.Environment[variable.Name] = variable.Value
		case from.ConfigMapKeyRef != nil && m.configs[from.ConfigMapKeyRef.Name] != nil:
			if value, is := m.configs[from.ConfigMapKeyRef.Name].Data[from.ConfigMapKeyRef.Key]; is {
				c.Environment[variable.Name] = value
			}
		case from.SecretKeyRef != nil && m.secrets[from.SecretKeyRef.Name] != nil:
			if value, is := m.secrets[from.SecretKeyRef.Name].Data[from.SecretKeyRef.Key]; is {
				c.Environment[variable.Name] = string(value)
			}
		case from.ResourceFieldRef != nil:
			divisor := from.ResourceFieldRef.Divisor.MilliValue()
			if divisor == 0 {
				divisor = 1000
			}
			value := s.Resources.Limits.Memory().MilliValue()
			if strings.HasSuffix(from.ResourceFieldRef.Resource, "cpu") {
				value = s.Resources.Limits.Cpu().MilliValue()
			}
			c.Environment[variable.Name] = fmt.Sprint((value + divisor - 1) / divisor)
		}
	}
}

func (m *manifests) volumes(c *Container, pod *core.PodSpec, s *core.Container) error {
	for _, mount := range s.VolumeMounts {
		var volume *core.Volume
		for i := range pod.Volumes {
			if pod.Volumes[i].Name == mount.Name {
				volume = &pod.Volumes[i]
			}
		}
		if volume == nil {
			return fmt.Errorf("volumeMounts[%s].name: Not found", mount.Name)
		}
		line := mount.MountPath
		switch {
		case volume.EmptyDir != nil:
			size := int64(0)
			if volume.EmptyDir.SizeLimit != nil {
				size = volume.EmptyDir.SizeLimit.Value()
			}
			line += fmt.Sprintf(" tmpfs %d 777", size)
		case volume.HostPath != nil:
			line += " bind " + volume.HostPath.Path
		case volume.PersistentVolumeClaim != nil:
			line += " tmpfs 0 777"
		case volume.ConfigMap != nil:
			files := map[string][]byte{}
			for key, value := range m.configs[volume.ConfigMap.Name].Data {
				files[key] = []byte(value)
			}
			m.files(c, mount, files, volume.ConfigMap.Items)
			continue
		case volume.Secret != nil:
			m.files(c, mount, m.secrets[volume.Secret.SecretName].Data, volume.Secret.Items)
			continue
		}
		if mount.ReadOnly {
			line += " ro"
		}
		c.Mounts = append(c.Mounts, line)
	}
	sort.Strings(c.Mounts)
	sort.Strings(c.Files)
	return nil
}

func (m *manifests) files(c *Container, mount core.VolumeMount, files map[string][]byte, items []core.KeyToPath) {
	if len(items) > 0 {
		chosen := map[string][]byte{}
		for _, item := range items {
			chosen[item.Path] = files[item.Key]
		}
		files = chosen
	}
	for name, content := range files {
		switch {
		case mount.SubPath == "":
			c.Files = append(c.Files, fmt.Sprintf("%s/%s %s", mount.MountPath, name, content))
		case mount.SubPath == name:
			c.Files = append(c.Files, fmt.Sprintf("%s %s", mount.MountPath, content))
		}
	}
}
