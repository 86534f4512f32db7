package api

import "net/http"

// routes are all operations of the API. openapi.yaml describes each of them.
var routes = []route{
	{method: http.MethodGet, path: "/openapi.json", handle: (*call).document},
	{method: http.MethodGet, path: "/version", handle: (*call).version},
	{method: http.MethodGet, path: "/runs", handle: (*call).listRuns},
	{method: http.MethodPost, path: "/runs", changes: true, handle: (*call).createRun},
	{method: http.MethodGet, path: "/runs/{run}", listed: true, handle: (*call).showRun},
	{method: http.MethodGet, path: "/runs/{run}/entry", registry: true, handle: (*call).showEntry},
	{method: http.MethodPut, path: "/runs/{run}/entry", listed: true, changes: true, handle: (*call).changeEntry},
	{method: http.MethodPost, path: "/runs/{run}/archive", registry: true, changes: true, handle: (*call).archiveRun},
	{method: http.MethodPost, path: "/runs/{run}/delete", registry: true, changes: true, handle: (*call).deleteRun},
	{method: http.MethodGet, path: "/runs/{run}/files", registry: true, handle: (*call).runFiles},
	{method: http.MethodGet, path: "/runs/{run}/tasks", handle: (*call).listTasks},
	{method: http.MethodPost, path: "/runs/{run}/tasks", changes: true, handle: (*call).submit},
	{method: http.MethodGet, path: "/runs/{run}/tasks/{task}", handle: (*call).showTask},
	{method: http.MethodGet, path: "/runs/{run}/tasks/{task}/series", handle: (*call).showSeries},
	{method: http.MethodGet, path: "/runs/{run}/tasks/{task}/logs", handle: (*call).logs},
	{method: http.MethodGet, path: "/runs/{run}/tasks/{task}/artifacts", handle: (*call).listArtifacts},
	{method: http.MethodGet, path: "/runs/{run}/tasks/{task}/artifact", handle: (*call).getArtifact},
	{method: http.MethodPost, path: "/runs/{run}/tasks/{task}/cancel", changes: true, handle: (*call).cancel},
	{method: http.MethodPost, path: "/runs/{run}/tasks/{task}/retry", changes: true, handle: (*call).retry},
	{method: http.MethodPut, path: "/runs/{run}/tasks/{task}/priority", changes: true, handle: (*call).reprioritise},
	{method: http.MethodPost, path: "/runs/{run}/pause", changes: true, handle: (*call).pause},
	{method: http.MethodPost, path: "/runs/{run}/resume", changes: true, handle: (*call).resume},
	{method: http.MethodPost, path: "/runs/{run}/drain", changes: true, handle: (*call).drain},
	{method: http.MethodPut, path: "/runs/{run}/allowance", changes: true, handle: (*call).setAllowance},
	{method: http.MethodPut, path: "/runs/{run}/budget", changes: true, handle: (*call).setBudget},
	{method: http.MethodGet, path: "/runs/{run}/workers", handle: (*call).listWorkers},
	{method: http.MethodGet, path: "/runs/{run}/tree", handle: (*call).tree},
	{method: http.MethodGet, path: "/runs/{run}/history", handle: (*call).history},
	{method: http.MethodGet, path: "/runs/{run}/events", handle: (*call).events},
	{method: http.MethodGet, path: "/runs/{run}/snapshot", handle: (*call).snapshot},
	{method: http.MethodGet, path: "/runs/{run}/export", handle: (*call).export},
	{method: http.MethodGet, path: "/runs/{run}/report/{file}", handle: (*call).report},
}
