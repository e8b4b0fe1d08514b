package recipes

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Packets of MQTT 5, by their first byte.
const (
	mqttConnect    = 0x10
	mqttConnack    = 0x20
	mqttPublish    = 0x30
	mqttAtLeast1   = 0x02 // a flag of it: at least once, and acknowledged
	mqttPuback     = 0x40
	mqttSubscribe  = 0x82
	mqttSuback     = 0x90
	mqttDisconnect = 0xe0
)

// mqttShutdown is the reason that a broker gives when it shuts down.
const mqttShutdown = 0x8b

// broker is a client's connection to one.
type broker struct {
	net.Conn
	packets *bufio.Reader
}

func dialBroker(address string) (*broker, error) {
	conn, err := dial(address)
	if err != nil {
		return nil, err
	}
	c := &broker{conn, bufio.NewReader(conn)}
	id := conn.LocalAddr().String()
	err = c.send(mqttConnect, mqttText("MQTT"), []byte{5, 2, 0, 60, 0}, mqttText(id))
	if err == nil {
		_, err = c.want(mqttConnack)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func mqttText(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func (c *broker) send(kind byte, parts ...[]byte) error {
	body := bytes.Join(parts, nil)
	_, err := c.Write(append(binary.AppendUvarint([]byte{kind}, uint64(len(body))), body...))
	return err
}

// want reads a packet of a kind, whatever its flags are.
func (c *broker) want(kind byte) (body []byte, err error) {
	got, body, err := c.receive()
	if err == nil && got != kind {
		err = fmt.Errorf("packet %#x %x instead of %#x", got, body, kind)
	}
	return body, err
}

// receive reads a packet. The flags are not in its kind.
func (c *broker) receive() (kind byte, body []byte, err error) {
	kind, err = c.packets.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(c.packets)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.packets, body)
	return kind &^ 0x0f, body, err
}

// subscribe has what is published to topic come, at most once.
func (c *broker) subscribe(topic string) error {
	if err := c.send(mqttSubscribe, []byte{0, 1, 0}, mqttText(topic), []byte{0}); err != nil {
		return err
	}
	_, err := c.want(mqttSuback)
	return err
}

// generation is what the broker retains.
func (c *broker) generation() (int, error) {
	if err := c.subscribe("generation"); err != nil {
		return 0, err
	}
	body, err := c.want(mqttPublish)
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(body, mqttText("generation"))
	if !ok || len(rest) == 0 || int(rest[0]) >= len(rest) {
		return 0, fmt.Errorf("message %x", body)
	}
	return strconv.Atoi(string(rest[1+rest[0]:])) // behind the properties
}

// askMQTT publishes, wants an acknowledgement, and what it has published.
func askMQTT(address string, l *load) error {
	c, err := dialBroker(address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	generation, err := c.generation()
	if err != nil {
		return err
	}
	topic := c.LocalAddr().String()
	if err := c.subscribe(topic); err != nil {
		return err
	}
	if err := askAll(l, func() (int, error) {
		if err := c.send(mqttPublish|mqttAtLeast1, mqttText(topic), []byte{0, 2, 0}, []byte("hello")); err != nil {
			return 0, err
		}
		first, _, err := c.receive()
		if err != nil {
			return 0, err
		}
		second, _, err := c.receive()
		if err == nil && (first+second != mqttPuback+mqttPublish) { // in any order
			err = fmt.Errorf("packets %#x, %#x", first, second)
		}
		return generation, err
	}); err != nil {
		return err
	}
	return c.send(mqttDisconnect)
}

// waitMQTT says nothing, and is to be told that the broker shuts down.
func waitMQTT(address string) (later func(generation int) error, err error) {
	c, err := dialBroker(address)
	if err != nil {
		return nil, err
	}
	return func(int) error {
		defer func() { _ = c.Close() }()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		body, err := c.want(mqttDisconnect)
		if err == nil && (len(body) == 0 || body[0] != mqttShutdown) {
			err = fmt.Errorf("DISCONNECT %x", body)
		}
		return err
	}, nil
}
