package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"

	"bitbucket.org/PinIdea/go-zero-downtime-daemon/cfg"
)

// envPrefix is what all variables begin with that could be meant for us.
const envPrefix = "GOZD_"

// anyOverride reports whether a variable could be meant for us. Mostly there is none.
func anyOverride(environ []string) bool {
	return slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, envPrefix) })
}

// overrides finds the values that variables of the environment name.
type overrides struct {
	loader *loader
	groups map[string][]string // names of sections, by their name in a variable
}

// newOverrides prepares to override values in the sections of tree. What is no
// section, or cannot be one, is left for others to complain about.
func newOverrides(l *loader, tree map[string]any) *overrides {
	o := &overrides{loader: l, groups: make(map[string][]string)}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		_, table := tree[name].(map[string]any)
		if (table || tree[name] == nil) && validName(name) && !strings.EqualFold(name, daemonSection) {
			o.groups[variableName(name)] = append(o.groups[variableName(name)], name)
		}
	}
	// The daemon's section can be overridden even if the file has none.
	o.groups[variableName(daemonSection)] = []string{daemonSection}
	return o
}

// provider returns koanf's view of the variables that name a value.
func (o *overrides) provider(environ []string) *env.Env {
	return env.Provider(delim, env.Opt{
		Prefix:        envPrefix,
		EnvironFunc:   func() []string { return environ },
		TransformFunc: o.resolve,
	})
}

// resolve returns the path of what variable overrides, or "" for nothing.
func (o *overrides) resolve(variable, value string) (string, any) {
	rest := strings.ToUpper(strings.TrimPrefix(variable, envPrefix))
	match, key, found := o.match(rest)
	if !found {
		return "", nil
	}
	section := match[0]
	if !slices.Contains(keysOf(section), key) && isServiceLink(rest, value) {
		return "", nil
	}
	e := &cfg.Error{Variable: variable, Section: section, Key: key, Value: value}
	switch setBy, again := o.loader.variables[keyPath{section, key}]; {
	case len(match) > 1:
		e.Section = ""
		e.Msg = fmt.Sprintf("fits several groups: [%s]", strings.Join(match, "] and ["))
	case !slices.Contains(keysOf(section), key):
		e.Msg, e.Suggestion = unknownKey(section, key)
		o.loader.excuse(section, e.Suggestion)
	case again && setBy != variable:
		e.Msg = fmt.Sprintf("%s is already set by $%s", key, setBy)
	default:
		o.loader.variables[keyPath{section, key}] = variable
		return section + delim + key, value
	}
	o.loader.fail(e)
	return "", nil
}

// isServiceLink reports whether a variable that is for no key of ours is one of those that Kubernetes sets in every pod for each
// service of its namespace, as Docker does for a link. Those of a service called gozd-web begin like those of group web. They end in
//
//	_SERVICE_HOST  _SERVICE_PORT  _SERVICE_PORT_<name>  _PORT
//	_PORT_<number>_<network>  and  _PROTO  _PORT  _ADDR  behind that
//
// GOZD_WEB_PORT might as well be meant for us, but not with a value like tcp://10.0.0.1:80.
func isServiceLink(name, value string) bool {
	scheme, _, _ := strings.Cut(value, "://")
	switch {
	case strings.HasSuffix(name, "_SERVICE_HOST"), strings.HasSuffix(name, "_SERVICE_PORT"), strings.Contains(name, "_SERVICE_PORT_"):
		return true
	case strings.HasSuffix(name, "_PORT") && slices.Contains([]string{"tcp", "udp", "sctp"}, scheme) && scheme != value:
		return true
	}
	words := strings.Split(name, "_")
	if slices.Contains([]string{"PROTO", "PORT", "ADDR"}, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	n := len(words)
	return n > 3 && words[n-3] == "PORT" && digits(words[n-2]) && slices.Contains([]string{"TCP", "UDP", "SCTP"}, words[n-1])
}

// match splits the name of a variable into group and key. There may be more
// than one way: with groups a and a_socket, A_SOCKET_MODE is a key of both. The
// longest group that has such a key wins, and if none has, the longest group.
func (o *overrides) match(name string) (groups []string, key string, found bool) {
	for i := len(name) - 1; i > 0; i-- {
		candidates := o.groups[name[:i]]
		if name[i] != '_' || candidates == nil {
			continue
		}
		k := strings.ToLower(name[i+1:])
		if slices.Contains(keysOf(candidates[0]), k) {
			return candidates, k, true
		}
		if !found {
			groups, key, found = candidates, k, true
		}
	}
	return groups, key, found
}

// variableName returns the name of a group as it stands in a variable.
func variableName(group string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(alnum, r) {
			return r
		}
		return '_'
	}, strings.ToUpper(group))
}
