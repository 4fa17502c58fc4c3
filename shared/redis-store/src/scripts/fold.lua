-- Writes the costs of a day that is over into its month, unless they are there: what stands there is the whole day, as
-- it is written before any part of it is removed.
-- KEYS 1 month
-- ARGV 1 day, 2 figures as JSON, 3 how long the month is kept, in s
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
