package deploy

// Redis is the server of the read model.
type Redis struct {
	Address
	Data        string
	MaxMemoryMB int
	Settings    []Setting
}

// Files is its whole configuration.
func (r Redis) Files() (Files, error) {
	r.Host = orLoopback(r.Host)
	files := Files{}
	return files, files.add("redis.conf", "redis/redis.conf", 0o600, false, r)
}
