// Package testing_test holds tests of the service as a container: the image is built, run, asked, hardened and stopped.
//
// They run against longshore alone, which needs no daemon: its binary is $LONGSHORE, or "longshore" in the PATH. Where DOCKER_HOST
// names an engine, and docker is in the PATH, each test runs against that too. Where neither is there, they are skipped and say so.
package testing_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	image    = "myapp:test"
	port     = "8080"
	patience = 30 * time.Second
)

// engine runs containers. longshore and docker take the same words; what they say of a container differs in its form.
type engine struct {
	name, program string
	// inspect reads status, exit code and published port out of what "inspect" prints.
	inspect func(output []byte) (state, error)
}

type state struct {
	status string
	code   int
	port   string
}

// output runs the engine with these words and returns what it prints.
func (e engine) output(words ...string) (string, error) {
	command := exec.Command(e.program, words...)
	var errors bytes.Buffer
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		return string(output), fmt.Errorf("%s %s: %w\n%s", e.name, strings.Join(words, " "), err, errors.String())
	}
	return string(output), nil
}

func (e engine) state(t *testing.T, container string) state {
	t.Helper()
	output, err := e.output("inspect", container)
	if err != nil {
		t.Fatal(err)
	}
	state, err := e.inspect([]byte(output))
	if err != nil {
		t.Fatalf("cannot read what %s says of %s: %v\n%s", e.name, container, err, output)
	}
	return state
}

func inspectLongshore(output []byte) (state, error) {
	var report struct {
		Containers []struct {
			State struct {
				Status string
				Exit   *struct{ Code int }
				Ports  []struct{ Host int }
			}
		}
	}
	if err := json.Unmarshal(output, &report); err != nil {
		return state{}, err
	}
	if len(report.Containers) != 1 || len(report.Containers[0].State.Ports) != 1 {
		return state{}, errors.New("one container with one port was expected")
	}
	found := report.Containers[0].State
	result := state{status: found.Status, port: fmt.Sprint(found.Ports[0].Host)}
	if found.Exit != nil {
		result.code = found.Exit.Code
	}
	return result, nil
}

func inspectDocker(output []byte) (state, error) {
	var report []struct {
		State struct {
			Status   string
			ExitCode int
		}
		NetworkSettings struct {
			Ports map[string][]struct{ HostPort string }
		}
	}
	if err := json.Unmarshal(output, &report); err != nil {
		return state{}, err
	}
	if len(report) != 1 {
		return state{}, errors.New("one container was expected")
	}
	result := state{status: report[0].State.Status, code: report[0].State.ExitCode}
	// Once a container has ended, its port is published no more.
	if published := report[0].NetworkSettings.Ports[port+"/tcp"]; len(published) > 0 {
		result.port = published[0].HostPort
	}
	return result, nil
}

func longshore(t *testing.T) engine {
	t.Helper()
	program := os.Getenv("LONGSHORE")
	if program == "" {
		program = "longshore"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("skipped, because there is no longshore: %v", err)
	}
	return engine{name: "longshore", program: path, inspect: inspectLongshore}
}

// forEachEngine builds the image and runs a test against longshore and, where there is one, against an engine.
func forEachEngine(t *testing.T, test func(t *testing.T, e engine)) {
	own := longshore(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.output("build", root, "-t", image, "--image-format", "docker"); err != nil {
		t.Fatal(err)
	}
	t.Run(own.name, func(t *testing.T) { test(t, own) })
	t.Run("docker", func(t *testing.T) {
		docker, err := exec.LookPath("docker")
		if err != nil || os.Getenv("DOCKER_HOST") == "" {
			t.Skip("skipped, because DOCKER_HOST names no engine, or docker is not in the PATH")
		}
		if _, err := own.output("image", "copy", image, "docker-daemon:"+image); err != nil {
			t.Fatal(err)
		}
		test(t, engine{name: "docker", program: docker, inspect: inspectDocker})
	})
}

// service is the image in a container that runs.
type service struct {
	engine
	container string
	// address is where the service is reached from outside; empty where the engine has no network to publish its port from.
	address string
}

// start runs the image in a container that is removed when the test ends, and waits until the service answers.
func start(t *testing.T, e engine, flags ...string) service {
	t.Helper()
	test := strings.ToLower(strings.NewReplacer("/", "-").Replace(t.Name()))
	s := service{engine: e, container: fmt.Sprintf("myapp-test-%d-%s", os.Getpid(), test)}
	t.Cleanup(func() {
		if _, err := e.output("rm", "-f", s.container); err != nil {
			t.Error(err)
		}
	})
	words := append([]string{"run", "-d", "-p", "127.0.0.1::" + port, "--name", s.container}, flags...)
	if _, err := e.output(append(words, image)...); err != nil {
		t.Fatal(err)
	}
	if published := e.state(t, s.container).port; published != "" {
		s.address = "http://127.0.0.1:" + published
	} else {
		t.Logf("%s has no network to publish ports from: the service is asked inside", e.name)
	}
	deadline := time.Now().Add(patience)
	for {
		err := s.healthy()
		if err == nil {
			return s
		}
		if time.Now().After(deadline) {
			logs, _ := e.output("logs", s.container)
			t.Fatalf("the service does not answer: %v\n%s", err, logs)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// healthy asks the service for its health: over its published port, or by its own sub-command, since the image has no shell and no wget.
func (s service) healthy() error {
	if s.address == "" {
		_, err := s.output("exec", s.container, "server", "health")
		return err
	}
	response, err := http.Get(s.address + "/health")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", url, response.Status, body)
	}
	return body
}

func TestContainerBuild(t *testing.T) {
	own := longshore(t)
	forEachEngine(t, func(t *testing.T, e engine) {
		if e.name != own.name {
			output, err := e.output("image", "inspect", "--format", "{{.Config.User}} {{json .Config.ExposedPorts}} {{json .Config.Entrypoint}}", image)
			if err != nil {
				t.Fatal(err)
			}
			if want := "65532:65532 {\"8080/tcp\":{}} [\"/app/server\"]\n"; output != want {
				t.Errorf("the image's user and ports are %q, not %q", output, want)
			}
			return
		}
		output, err := e.output("image", "show", image, "--format", "json")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"User": "65532:65532"`, `"8080/tcp"`, `"/app/server"`} {
			if !strings.Contains(output, want) {
				t.Errorf("the image's config has no %s:\n%s", want, output)
			}
		}
	})
}

func TestContainerRun(t *testing.T) {
	forEachEngine(t, func(t *testing.T, e engine) {
		s := start(t, e)
		if status := e.state(t, s.container).status; status != "running" {
			t.Errorf("the container is %s", status)
		}
		if _, err := e.output("exec", s.container, "server", "health"); err != nil {
			t.Error(err)
		}
		if s.address == "" {
			return
		}
		var health struct{ Status string }
		if body := get(t, s.address+"/health"); json.Unmarshal(body, &health) != nil || health.Status != "healthy" {
			t.Errorf("the service says of its health: %s", body)
		}
		get(t, s.address+"/ready")
	})
}

func TestContainerStops(t *testing.T) {
	forEachEngine(t, func(t *testing.T, e engine) {
		s := start(t, e)
		begin := time.Now()
		if _, err := e.output("stop", s.container); err != nil {
			t.Fatal(err)
		}
		if elapsed := time.Since(begin); elapsed > 9*time.Second {
			t.Errorf("it took %v: it was killed", elapsed)
		}
		if state := e.state(t, s.container); state.status != "exited" || state.code != 0 {
			t.Errorf("the container is %s, its exit code %d", state.status, state.code)
		}
	})
}

func TestContainerHardened(t *testing.T) {
	forEachEngine(t, func(t *testing.T, e engine) {
		s := start(t, e, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
			"--tmpfs", "/tmp", "--user", "54321:54321")
		if err := s.healthy(); err != nil {
			t.Error(err)
		}
	})
}

func TestContainerLimits(t *testing.T) {
	forEachEngine(t, func(t *testing.T, e engine) {
		if _, err := os.Stat("/sys/fs/cgroup"); err != nil || os.Geteuid() != 0 {
			t.Skip("skipped, because limits need control groups that may be made")
		}
		s := start(t, e, "--memory", "64m", "--cpus", "0.5", "--pids-limit", "64")
		for request := 0; request < 20; request++ {
			if err := s.healthy(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
