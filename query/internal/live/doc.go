// Package live feeds subscribers with what happens to raffles: as Server-Sent Events and to socket.io
// clients. The events lie in one Redis stream per raffle, so every instance sees all of them and a
// client can resume at any instance.
package live
