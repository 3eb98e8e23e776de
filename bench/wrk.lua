-- What wrk sends and reports for load.py. Arguments: the bodies to POST in turn; none for GET.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(bodies)
  redirects = 0
  local posts, turn = {}, 0
  for n, body in ipairs(bodies) do posts[n] = wrk.format("POST", nil, nil, body) end
  if #posts == 0 then return end
  function request()
    turn = turn % #posts + 1
    return posts[turn]
  end
  -- It costs wrk a little for each answer, so it is there only where 302 is not as good as 200.
  function response(status)
    if status == 302 then redirects = redirects + 1 end
  end
end

function done(summary, latency)
  local seen, errors = 0, summary.errors
  for _, thread in ipairs(threads) do seen = seen + thread:get("redirects") end
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("REPORT %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status, lost, seen))
end
