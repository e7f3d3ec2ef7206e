def test_server_answers(postgres_server):
    import psycopg

    with psycopg.connect(postgres_server.url()) as c:
        print(c.execute("select version()").fetchone())
