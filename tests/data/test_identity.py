"""What data are known by: addresses without secrets, and what was found."""

import pytest

from autolink_gen.data.identity import public_address, public_data, public_text


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("https://host/a/pics-{000..009}.tar", "https://host/a/pics-{000..009}.tar"),
        ("https://user:pass@host:8443/a.tar", "https://host:8443/a.tar"),
        ("https://host/a.tar?X-Amz-Signature=5ec3e7&X-Amz-Expires=60&X-Amz-Credential=AKIA", "https://host/a.tar"),
        ("https://host/a.tar?Expires=1&Signature=5ec3e7&Key-Pair-Id=K", "https://host/a.tar"),
        ("https://host/a.tar?sv=2022&sp=r&se=2030&sr=b&sig=5ec3e7", "https://host/a.tar"),
        ("https://host/a.tar?token=5ec3e7#part", "https://host/a.tar"),
        ("https://host/{a.tar?sig=5ec3e7,b.tar?sig=0ther}", "https://host/{a.tar,b.tar}"),
        ("/home/me/what?/a.tar", "/home/me/what?/a.tar"),
        ("puppets", "puppets"),
    ],
)
def test_an_address_is_written_without_what_opens_it(address: str, public: str) -> None:
    assert public_address(address) == public
    assert public_address(public) == public


def test_files_told_apart_by_a_query_stay_apart_and_it_is_not_shown() -> None:
    one, other = (public_address(f"https://host/get?id={name}&token=5ec3e7") for name in ("one", "other"))
    assert one != other
    assert public_address("https://host/get?token=renewed&id=one") == one == public_address(one)
    assert "5ec3e7" not in one and "=one" not in one


def test_each_of_several_data_is_written_by_itself() -> None:
    data = "puppets+https://host/a.tar?sig=5ec3e7 + https://me:pass@host/b.tar"
    assert public_data(data) == "puppets+https://host/a.tar+https://host/b.tar"
    assert public_data("/home/me/a + b") == "/home/me/a + b", "the name of a folder stays as it is"


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("cannot fetch https://u:p@h/a(1).tar?sig=5ec3e7: it is cut", "cannot fetch https://h/a(1).tar: it is cut"),
        ("(http://h/a?sig=5ec3e7), 'https://h/b?sig=5ec3e7'.", "(http://h/a), 'https://h/b'."),
        ("postgresql://me:5ec3e7@h:1/work and no more", "postgresql://h:1/work and no more"),
        ('{"data":"https://h/a?sig=5ec3e7","score":3}', '{"data":"https://h/a","score":3}'),
        ("a path /home/me/x?sig=1 stays", "a path /home/me/x?sig=1 stays"),
    ],
)
def test_messages_show_no_secret(text: str, public: str) -> None:
    assert public_text(text) == public
