// Argolua answers questions about Kubernetes objects, one JSON object a line: what a script of Argo CD makes of the
// object, in a Lua with no more in it than Argo CD opens; or, without a script, what kstatus computes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// Argo CD gives a script one second (runLua in its util/lua/lua.go, which is also where the list of libraries is).
const limit = time.Second

// open gives a Lua with package, base and table. Date and time come with require("os"); there is no global os.
func open(state *lua.LState) {
	for name, library := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.OsLibName: lua.OpenOs,
	} {
		state.Push(state.NewFunction(library))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	safe := state.NewTable()
	for _, name := range []string{"date", "time"} {
		safe.RawSetString(name, state.GetField(state.GetGlobal(lua.OsLibName), name))
	}
	state.SetGlobal(lua.OsLibName, lua.LNil)
	state.SetField(state.GetField(state.GetGlobal(lua.LoadLibName), "loaded"), lua.OsLibName, safe)
}

func run(script string, object []byte) ([]byte, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	open(state)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	state.SetContext(ctx)
	value, err := luajson.Decode(state, object)
	if err != nil {
		return nil, err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	return luajson.Encode(state.Get(-1))
}

func kstatus(object []byte) ([]byte, error) {
	parsed := &unstructured.Unstructured{}
	if err := parsed.UnmarshalJSON(object); err != nil {
		return nil, err
	}
	result, err := status.Compute(parsed)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result.Status)
}

func answer(line []byte) (value json.RawMessage, err error) {
	var question struct {
		Script string
		Object json.RawMessage
	}
	if err := json.Unmarshal(line, &question); err != nil {
		return nil, err
	}
	if question.Script == "" {
		return kstatus(question.Object)
	}
	return run(question.Script, question.Object)
}

func main() {
	lines, answers := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for line, err := lines.ReadBytes('\n'); err == nil; line, err = lines.ReadBytes('\n') {
		said := map[string]any{}
		if value, failure := answer(line); failure != nil {
			said["error"] = failure.Error()
		} else {
			said["value"] = value
		}
		if answers.Encode(said) != nil {
			return
		}
	}
}
