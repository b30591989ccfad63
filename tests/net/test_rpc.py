"""Calls to a node: the right answer to the right call, or an error that says whose it is; and who may ask."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from loopback_http import AFTER, BROKEN, FAULTS, MOVED, REFUSED, SILENT, garbage, rewrite, status
from loopback_node import RpcFault, RpcServer, fails

from medanchor.errors import ChainError, UsageError
from medanchor.net.rpc import Rpc, RpcError
from medanchor.net.server import BusyError, Patience

QUICK = Patience(seconds=1, attempts=3, pause=0.01)
VALUES = [None, True, 0, -1, 1 << 70, Decimal("0.00000001"), "", "text", [], [1], {}, {"a": None}]
WRONG = [None, True, False, 0, 1, -7, 0.5, "", "text", [], [[]], {}, {"error": {}}, {"result": 1}, [{}], [None]]


def refuse(code, message):
    def method(*_params):
        raise RpcFault(code, message)

    return method


@pytest.fixture
def node():
    with RpcServer({"echo": lambda *params: list(params), "fail": refuse(-8, "Out of\n range.")}) as running:
        yield running


@pytest.fixture
def rpc(node):
    node.users["me"] = "secret"
    return Rpc(node.url_for("me"), "regtest", patience=QUICK)


class TestCalls:
    def test_the_result_comes_back(self, rpc):
        assert rpc.call("echo", 1, "two", [3], None, True) == [1, "two", [3], None, True]

    @pytest.mark.parametrize("value", VALUES)
    def test_of_whatever_type_it_is(self, node, rpc, value):
        node.methods["answer"] = lambda: value
        assert rpc.call("answer") == value
        assert type(rpc.call("answer")) is type(value)

    def test_amounts_are_exact(self, node, rpc):
        node.plan({0: garbage(b'{"jsonrpc":"2.0","id":1,"result":0.10000000}')})
        assert str(rpc.call("getbalance")) == "0.10000000"

    def test_amounts_are_sent_exactly(self, rpc):
        assert rpc.call("echo", Decimal("0.00000001"), Decimal(3)) == ["0.00000001", "3"]

    def test_an_error_has_its_number_and_its_words(self, node, rpc):
        with pytest.raises(RpcError) as caught:
            rpc.call("fail")
        assert (caught.value.code, caught.value.text) == (-8, "Out of range")
        assert caught.value.message == f"{rpc.name} refuses fail: Out of range (-8)"
        assert caught.value.hint
        assert len(node.requests) == 1

    @pytest.mark.parametrize("old", [False, True], ids=["28 and later", "before 28"])
    def test_a_method_that_is_not_there_is_a_matter_of_the_version(self, node, rpc, old):
        node.old = old
        with pytest.raises(RpcError, match=r"Method not found \(-32601\)") as caught:
            rpc.call("getquantum")
        assert "Bitcoin Core 28" in caught.value.hint

    def test_an_older_node_answers_too(self, node, rpc):
        node.old = True
        assert rpc.call("echo", 1) == [1]
        with pytest.raises(RpcError, match="Out of range"):
            rpc.call("fail")
        assert [type(one) for one in rpc.batch([("echo", ()), ("fail", ())])] == [list, RpcError]

    def test_a_wallet_is_named_in_the_address(self, node, rpc):
        node.wallets["Klinik Süd/7?#"] = {"getwalletinfo": lambda: "here"}
        assert rpc.call("getwalletinfo", wallet="Klinik Süd/7?#") == "here"
        with pytest.raises(RpcError, match=r"\(-18\)"):
            rpc.call("getwalletinfo", wallet="other")
        with pytest.raises(RpcError, match=r"\(-32601\)"):
            rpc.call("getwalletinfo")
        assert node.requests[0].path == "/wallet/Klinik%20S%C3%BCd%2F7%3F%23"

    def test_what_a_node_says_cannot_command_the_terminal(self, node, rpc):
        node.methods["fail"] = refuse(-1, "\x1b[2J\r\nall is well\x07" + "!" * 5_000)
        with pytest.raises(RpcError) as caught:
            rpc.call("fail")
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 500


class TestBatches:
    def test_results_come_in_order_and_errors_in_their_places(self, node, rpc):
        first, second, third = rpc.batch([("echo", (1,)), ("fail", ()), ("echo", ("x", 2))])
        assert (first, third) == ([1], ["x", 2])
        assert isinstance(second, RpcError)
        assert second.code == -8
        assert len(node.requests) == 1

    def test_whatever_order_the_node_answers_in(self, node, rpc):
        node.plan({0: rewrite(lambda answers: answers[::-1])})
        assert rpc.batch([("echo", (number,)) for number in range(5)]) == [[number] for number in range(5)]

    def test_of_nothing_asks_nobody(self, node, rpc):
        assert rpc.batch([]) == []
        assert node.requests == []

    @pytest.mark.parametrize(
        "change",
        [
            lambda answers: answers[1:],
            lambda answers: answers + answers[:1],
            lambda answers: [answers[0], answers[0]],
            lambda answers: answers[0],
            lambda answers: [answers, answers],
            lambda answers: {"result": answers, "error": None, "id": 1},
            lambda answers: [{**answers[0], "id": 99}, answers[1]],
            lambda answers: [{**answers[0], "id": True}, answers[1]],
            lambda answers: [{**answers[0], "id": "1"}, answers[1]],
        ],
        ids=["one less", "one more", "one twice", "one alone", "in lists", "as a call", "of another", "true", "text"],
    )
    def test_an_answer_to_each_call_or_none_at_all(self, node, rpc, change):
        node.plan({0: rewrite(change)})
        with pytest.raises(ChainError, match="none of Bitcoin Core's"):
            rpc.batch([("echo", (1,)), ("echo", (2,))])

    @pytest.mark.parametrize("wrong", WRONG, ids=repr)
    def test_anything_else_is_refused(self, node, rpc, wrong):
        node.plan({0: rewrite(lambda _: wrong), 1: rewrite(lambda answers: [answers[0], wrong])})
        for _ in range(2):
            with pytest.raises(ChainError, match="none of Bitcoin Core's"):
                rpc.batch([("echo", (1,)), ("echo", (2,))])


class TestWrongAnswers:
    @pytest.mark.parametrize("wrong", WRONG, ids=repr)
    def test_what_is_no_answer_is_refused(self, node, rpc, wrong):
        node.plan({0: rewrite(lambda _: wrong)})
        with pytest.raises(ChainError, match="none of Bitcoin Core's") as caught:
            rpc.call("echo")
        assert caught.value.hint

    @pytest.mark.parametrize("wrong", [*WRONG, {"code": "1", "message": "x"}, {"code": 1, "message": 2}], ids=repr)
    def test_what_is_no_error_is_refused(self, node, rpc, wrong):
        node.plan({0: rewrite(lambda answer: {"id": answer["id"], "error": wrong})})
        with pytest.raises(ChainError, match="none of Bitcoin Core's"):
            rpc.call("echo")

    @pytest.mark.parametrize("number", [None, 0, 2, True, "1", 1.0, [1]], ids=repr)
    def test_the_answer_to_another_call_is_refused(self, node, rpc, number):
        node.plan({0: rewrite(lambda answer: {**answer, "id": number})})
        with pytest.raises(ChainError, match="none of Bitcoin Core's"):
            rpc.call("echo")

    @pytest.mark.parametrize("text", ["1e99999999999999999999", "NaN", "-Infinity", "1" * 5_000, "[" * 90_000])
    def test_numbers_and_depths_beyond_sense_are_refused(self, node, rpc, text):
        node.plan({0: garbage(f'{{"id":1,"result":{text}}}'.encode())})
        with pytest.raises(ChainError, match="it is not JSON, or it is cut short"):
            rpc.call("echo")

    def test_a_request_that_could_not_be_read_is_told_as_such(self, node, rpc):
        answer = {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}}
        node.plan({0: garbage(json.dumps(answer).encode())})
        with pytest.raises(RpcError, match=r"refuses the request: Parse error \(-32700\)"):
            rpc.call("echo")

    def test_an_answer_is_as_long_as_allowed(self, node, rpc):
        node.methods["long"] = lambda: "x" * 1_000
        with pytest.raises(ChainError, match="more than 999 bytes"):
            rpc.call("long", most=999)
        with pytest.raises(ChainError, match="more than 999 bytes"):
            rpc.batch([("long", ())], most=999)


class TestFaults:
    @pytest.mark.parametrize("name", FAULTS)
    def test_once_is_survived_or_told_and_told_twice_is_bounded(self, node, rpc, name):
        for plan in ({"faults": {0: FAULTS[name]}}, {"always": FAULTS[name]}):
            node.plan(**plan)
            outcome = outcome_of(lambda: rpc.call("echo", 1))
            if isinstance(outcome, ChainError):
                assert outcome.hint
                assert "secret" not in f"{outcome!r} {outcome.hint}"
            else:
                assert (outcome, len(node.requests)) == ([1], 2)
        node.plan()
        assert rpc.call("echo", 2) == [2]

    @pytest.mark.parametrize("name", ["hang", "lost answer", "reset", "HTTP 429", "HTTP 500", "HTTP 502", "HTTP 503"])
    def test_a_node_that_is_busy_once_is_asked_again(self, node, rpc, name):
        node.plan({0: FAULTS[name]})
        assert rpc.call("echo", 1) == [1]
        assert len(node.requests) == 2

    @pytest.mark.parametrize("name", [*SILENT, *AFTER, "reset after", "half an answer"])
    def test_what_must_be_sent_once_is(self, node, rpc, name):
        node.plan(always=FAULTS[name])
        with pytest.raises(ChainError):
            rpc.call("echo", "x" * 500, again=False)
        assert len(node.requests) == 1

    @pytest.mark.parametrize(
        "name", [*MOVED, *sorted(set(REFUSED) - {"HTTP 429", "HTTP 500", "HTTP 502", "HTTP 503", "HTTP 504"})]
    )
    def test_what_asking_again_will_not_change_is_told_at_once(self, node, rpc, name):
        node.plan(always=FAULTS[name])
        with pytest.raises(ChainError) as caught:
            rpc.call("echo")
        assert len(node.requests) == 1
        assert not isinstance(caught.value, BusyError)

    @pytest.mark.parametrize("name", [*BROKEN])
    def test_a_batch_is_no_different(self, node, rpc, name):
        node.plan(always=BROKEN[name])
        with pytest.raises(ChainError):
            rpc.batch([("echo", (1,)), ("echo", (2,))])

    def test_nobody_there(self):
        rpc = Rpc("http://me:secret@127.0.0.1:9", "regtest", patience=QUICK)
        with pytest.raises(
            ChainError, match=r"the Bitcoin Core node at http://127\.0\.0\.1:9 cannot be reached"
        ) as caught:
            rpc.call("echo")
        assert "secret" not in f"{caught.value!r} {caught.value.hint} {rpc!r}"


class TestStarting:
    def test_a_node_that_starts_is_waited_for(self, node, rpc):
        node.plan({0: fails(-28, "Loading block index…"), 1: fails(-28, "Verifying blocks…")})
        assert rpc.call("echo", 1) == [1]
        node.plan({0: fails(-28)})
        assert rpc.batch([("echo", (1,))]) == [[1]]

    def test_but_not_for_ever(self, node, rpc):
        node.plan(always=fails(-28, "Loading block index…"))
        with pytest.raises(BusyError, match="is still starting") as caught:
            rpc.call("echo")
        assert len(node.requests) == QUICK.attempts
        assert "then try again" in caught.value.hint

    def test_nor_at_all_for_what_is_sent_once(self, node, rpc):
        node.plan(always=fails(-28))
        with pytest.raises(BusyError):
            rpc.call("echo", again=False)
        assert len(node.requests) == 1


class TestCookie:
    @pytest.fixture
    def cookie(self, node, tmp_path):
        return self.bake(node, tmp_path / ".cookie")

    @staticmethod
    def bake(node, path, password="first"):  # noqa: S107 - it protects nothing
        node.users = {"__cookie__": password}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"__cookie__:{password}\n")
        return path

    def test_it_is_read_when_it_is_needed(self, node, tmp_path):
        rpc = Rpc(node.url, "regtest", cookie=tmp_path / ".cookie", patience=QUICK)
        self.bake(node, tmp_path / ".cookie")
        assert rpc.call("echo", 1) == [1]

    @pytest.mark.parametrize("again", [True, False])
    def test_it_is_read_again_when_the_node_has_made_another(self, node, cookie, again):
        rpc = Rpc(node.url, "regtest", cookie=cookie, patience=QUICK)
        rpc.call("echo")
        self.bake(node, cookie, "second")
        node.plan()
        assert rpc.call("echo", 1, again=again) == [1]
        assert len(node.requests) == 2
        assert rpc.call("echo", 1) == [1]
        assert len(node.requests) == 3

    def test_one_that_stays_wrong_is_told_and_not_shown(self, node, cookie):
        node.users = {"__cookie__": "other"}
        rpc = Rpc(node.url, "regtest", cookie=cookie, patience=QUICK)
        with pytest.raises(ChainError, match=f"does not accept the cookie in {cookie}") as caught:
            rpc.call("echo")
        assert len(node.requests) == 1
        assert "first" not in f"{caught.value!r} {caught.value.hint}"

    def test_one_that_is_not_there_is_told(self, node, tmp_path):
        rpc = Rpc(node.url, "regtest", cookie=tmp_path / "none", patience=QUICK)
        with pytest.raises(ChainError, match="cannot be read: no such file or directory") as caught:
            rpc.call("echo")
        assert caught.value.hint.startswith("is the node running")
        assert node.requests == []

    @pytest.mark.parametrize("content", [b"", b"\n", b"no colon", b"\xff:\xfe", b"a:b\nc:d", b"a:\x00"])
    def test_one_that_is_none_is_told(self, node, cookie, content):
        cookie.write_bytes(content)
        with pytest.raises(ChainError, match="cookie") as caught:
            Rpc(node.url, "regtest", cookie=cookie, patience=QUICK).call("echo")
        assert caught.value.hint
        assert node.requests == []

    def test_a_directory_is_none(self, node, tmp_path):
        with pytest.raises(ChainError, match="cannot be read: is a directory"):
            Rpc(node.url, "regtest", cookie=tmp_path, patience=QUICK).call("echo")

    @pytest.mark.parametrize(
        ("network", "place"),
        [
            ("mainnet", ".bitcoin/.cookie"),
            ("testnet3", ".bitcoin/testnet3/.cookie"),
            ("testnet4", ".bitcoin/testnet4/.cookie"),
            ("signet", ".bitcoin/signet/.cookie"),
            ("regtest", ".bitcoin/regtest/.cookie"),
        ],
    )
    def test_each_network_has_its_usual_place(self, node, tmp_path, monkeypatch, network, place):
        monkeypatch.setenv("HOME", str(tmp_path))
        self.bake(node, tmp_path / place)
        assert Rpc(node.url, network, patience=QUICK).call("echo", 1) == [1]

    def test_without_a_home_it_is_told(self, node, monkeypatch):
        def homeless(_path):
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "expanduser", homeless)
        with pytest.raises(ChainError, match="cookie"):
            Rpc(node.url, "regtest", patience=QUICK).call("echo")


class TestPassword:
    def test_the_one_in_the_address_goes_before_any_cookie(self, node, tmp_path):
        node.users = {"me": "p@ss:word"}
        rpc = Rpc(node.url.replace("//", "//me:p%40ss%3Aword@"), "regtest", cookie=tmp_path / "none", patience=QUICK)
        assert rpc.call("echo", 1) == [1]

    def test_a_wrong_one_is_told_and_not_shown(self, node):
        node.users = {"me": "right"}
        rpc = Rpc(node.url.replace("//", "//me:wrong@"), "regtest", patience=QUICK)
        with pytest.raises(ChainError, match="does not accept the user and password") as caught:
            rpc.call("echo")
        assert len(node.requests) == 1
        assert "wrong" not in f"{caught.value!r} {caught.value.hint}"

    def test_a_user_or_a_machine_that_may_not_is_told(self, node, rpc):
        node.plan({0: status(403)})
        with pytest.raises(ChainError, match="does not let this machine or this user ask that") as caught:
            rpc.call("stop")
        assert "rpcallowip" in caught.value.hint

    def test_an_address_that_is_none(self):
        with pytest.raises(UsageError):
            Rpc("127.0.0.1:8332", "mainnet")


def outcome_of(ask):
    try:
        return ask()
    except ChainError as error:
        return error


def test_a_name_for_sentences(node, rpc):
    assert rpc.name == f"the Bitcoin Core node at {node.url}"
